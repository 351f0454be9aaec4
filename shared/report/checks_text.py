"""What ``allowlist check``, ``config check``, ``decide`` and ``request`` answer, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.report.escape import clean, shorten, value
from shared.report.page import Page, count_of
from shared.report.style import PLAIN, Style

if TYPE_CHECKING:
    from shared.report.documents import AllowlistDiffDocument, AllowlistDocument, ConfigDocument, HandDocument, RequestDocument


def allowlist_text(document: AllowlistDocument, style: Style = PLAIN) -> str:
    """Every problem with its place, as compilers write it, so that editors find it."""
    page = Page(style)
    file = clean(document.file)
    for problem in document.problems:
        place = f"{file}:{problem.line}:{problem.column}" if problem.line else file
        page.line((f"{place}: ", "bold"), clean(problem.message))
    for remark in document.remarks:
        page.line((f"{file}:{remark.line}: ", "bold"), f"{clean(remark.rule)}: {clean(remark.message)}")
    if document.valid:
        paused = ", PAUSED: nothing is approved" if document.paused else ""
        page.line(f"{file}: ", ("valid", "green"), f", {count_of(document.rules or 0, 'rule')}{paused}")
    else:
        count = count_of(len(document.problems), "problem")
        page.line(f"{file}: ", ("not valid", "bold red"), f", {count}; nothing is approved with it")
    return page.text


def diff_text(document: AllowlistDiffDocument, style: Style = PLAIN) -> str:
    """What changes: rules, then links, then decisions."""
    page = Page(style)
    for rule in document.rules:
        page.line((rule.change.ljust(8), "bold"), f"  rule {clean(rule.rule)} (line {rule.line})")
    for link in document.links:
        word = ("allowed ", "bold yellow") if link.after.startswith("allowed") else ("stopped ", "bold")
        page.line(word, f"  {clean(str(link.link))}")
        page.prose(f"{clean(link.before)} -> {clean(link.after)}", indent=10)
    for decision in document.decisions:
        page.line(("decision", "bold"), f"  {clean(decision.about)}")
        page.prose(f"{clean(decision.before)} -> {clean(decision.after)}", indent=10)
    if document.links_seen is None:
        seen = "rules alone were compared"
    else:
        seen = (
            f"{count_of(document.links_seen, 'link')} of the last sweep and "
            f"{count_of(document.decisions_seen or 0, 'decision')} of the ledger were looked at"
        )
    page.line(f"Nothing changes; {seen}." if document.same else f"{seen[0].upper()}{seen[1:]}.")
    return page.text


def config_text(document: ConfigDocument, style: Style = PLAIN) -> str:
    """The settings as they count, then each check."""
    page = Page(style)
    width = max((len(item.name) for item in document.settings), default=0) + 2
    for item in document.settings:
        shown = value(item.value) if item.value else "not set"
        page.field(item.name, shown, ("  default" if item.is_default else "", "dim"), indent=0, width=width)
    if document.settings:
        page.blank()
    for check in document.checks:
        word = ("ok      ", "green") if check.ok else ("FAILED  ", "bold red")
        page.line(word, f"{clean(check.name)}: {clean(shorten(check.message))}")
        if check.advice:
            page.prose(clean(check.advice), indent=8)
    page.blank()
    failed = sum(not check.ok for check in document.checks)
    page.line(f"{failed} of {len(document.checks)} checks failed." if failed else "Everything is there; nothing was written.")
    return page.text


def hand_text(document: HandDocument, style: Style = PLAIN) -> str:
    """Each decision and what came of it."""
    page = Page(style)
    for item in document.decisions:
        page.line((item.decision, "bold"), f"  {clean(str(item.connection))}")
        page.said("", clean(item.message), style="" if item.ok else "bold red")
        if item.record:
            page.field("record", item.record)
    if not document.decisions:
        page.line("Nothing to adopt: the ledger explains every approved connection.")
    else:
        page.line(f"Decided by {clean(document.by)}.")
    return page.text


def request_text(document: RequestDocument, style: Style = PLAIN) -> str:
    """The message, and the command that makes the link with it."""
    page = Page(style)
    page.line(("Request message", "bold"))
    page.line(document.message, indent=2)
    page.blank()
    if document.key_id is None:
        page.prose(
            "It is random, and only as good a proof as it is secret: whoever can read it can copy it. "
            "A signed one (--key) can be copied and is of no use to anybody else."
        )
    elif document.expires is not None:
        page.prose(
            f"Signed with the key {document.key_id}, for this link of this service to this target alone, "
            f"until {document.expires.isoformat(timespec='seconds')}."
        )
    if document.command is not None:
        page.blank()
        page.line(("Make the link with it", "bold"))
        page.line((document.command, "cyan"), indent=2)
    return page.text
