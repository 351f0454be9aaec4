"""From the allowlist's YAML to its rules, and every mistake with its place."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.allowlist import Allowlist, Effect, IdPattern, OnRemoval, Rule
from shared.core.allowlist_document import parse_allowlist
from shared.core.arm_id import ArmId
from shared.core.errors import AllowlistError
from shared.core.problem import Problem
from shared.core.yaml_tree import MAX_PROBLEMS
from tests.core.allowlist_documents import (
    ANY_SIGNALR,
    ANY_SITE,
    GROUP,
    SIGNALR,
    SITE,
    SUBSCRIPTION,
    as_yaml,
    document,
    json_documents,
    marked,
    rule,
)


def parse(text: str) -> Allowlist:
    return parse_allowlist(text, "allowlist.yaml")


def only_rule(text: str) -> Rule:
    (found,) = parse(text).rules
    return found


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(AllowlistError) as caught:
        parse(text)
    assert caught.value.source == "allowlist.yaml"
    assert list(caught.value.problems) == sorted(caught.value.problems)
    return caught.value.problems


FULL = f"""\
version: 1
paused: false                           # optional: true stops all approvals
defaults:                               # optional: for what a rule leaves out
  endpoint_name: "{{link}}"
rules:
  - id: contoso-upstream                # unique, shown in every decision
    effect: allow                       # or deny; deny wins
    signalr: {SIGNALR}
    target: {SITE}
    slots: [production]                 # default; a deployment slot by its name
    request_message: please approve     # optional: exact text, or {{signed: true}}
    endpoint_subscriptions: []          # optional: pins
    endpoint_name: "{{link}}"             # optional: {{link}}, {{signalr}}, * and text
    accept_exposure_change: false       # default: publicNetworkAccess null -> hold
    expires: 2027-06-30                 # optional, end of that day UTC
    owner: team-chat                    # optional, as ticket
    ticket: CHG-1234
    on_removal: report                  # or revoke
"""


def test_a_document_with_every_key_is_read() -> None:
    """Each into its own field, with the rule's line and its source."""
    allowlist = parse(FULL)
    lines = FULL.splitlines()[5:]
    text = "\n".join(["id: contoso-upstream                # unique, shown in every decision", *(line[4:] for line in lines[1:])])
    assert allowlist == Allowlist(
        source="allowlist.yaml",
        digest=hashlib.sha256(FULL.encode()).hexdigest(),
        paused=False,
        rules=(
            Rule(
                id="contoso-upstream",
                effect=Effect.ALLOW,
                signalr=IdPattern(ArmId.parse(SIGNALR)),
                target=IdPattern(ArmId.parse(SITE)),
                slots=("production",),
                request_message="please approve",
                signed=False,
                endpoint_subscriptions=(),
                endpoint_name="{link}",
                accept_exposure_change=False,
                expires=date(2027, 6, 30),
                owner="team-chat",
                ticket="CHG-1234",
                on_removal=OnRemoval.REPORT,
                line=6,
                text=text,
            ),
        ),
    )


def test_a_rule_that_leaves_everything_out_has_the_defaults_of_the_format() -> None:
    """Production, any message, no pins, the link's own name, no exposure change, no expiry, report."""
    found = only_rule(document(rule()))
    assert (found.slots, found.request_message, found.signed) == (("production",), None, False)
    assert (found.endpoint_subscriptions, found.endpoint_name) == ((), "{link}")
    assert (found.accept_exposure_change, found.expires, found.on_removal) == (False, None, OnRemoval.REPORT)
    assert (found.owner, found.ticket) == ("", "")


def test_keys_come_in_any_order() -> None:
    """In the document and in a rule."""
    text = f"rules:\n- target: {SITE}\n  signalr: {SIGNALR}\n  effect: allow\n  id: a\nversion: 1\n"
    assert only_rule(text).id == "a"


def test_the_digest_is_that_of_the_file() -> None:
    """Line ends and a byte order mark included."""
    text = "\ufeff" + document(rule()).replace("\n", "\r\n")
    assert parse(text).digest == hashlib.sha256(text.encode()).hexdigest()


def test_no_rules_allow_nothing() -> None:
    """An empty list is a document; an empty document is none."""
    assert parse("version: 1\nrules: []\n").rules == ()
    assert problems_of("") == (Problem(1, 1, "the document is empty: write version: 1 and rules: []"),)


@pytest.mark.parametrize(("text", "paused"), [("paused: true\n", True), ("paused: False\n", False), ("", False)])
def test_paused_is_said_at_the_top(text: str, *, paused: bool) -> None:
    """Without the key nothing is paused."""
    assert parse(text + document()).paused is paused


@pytest.mark.parametrize(
    ("line", "message", "signed"),
    [
        ("request_message: please approve", "please approve", False),
        ('request_message: ""', "", False),
        ("request_message: ' please approve '", " please approve ", False),
        ("request_message: {signed: true}", None, True),
        ("request_message:\n  signed: true", None, True),
        ("request_message: yes", "yes", False),
        ("request_message: 2027-06-30", "2027-06-30", False),
        ('request_message: "\\ud83d\\ude00"', "\N{GRINNING FACE}", False),
        (f"request_message: {'x' * 140}", "x" * 140, False),
    ],
)
def test_a_request_message_is_an_exact_text_or_signed(line: str, message: str | None, *, signed: bool) -> None:
    """Nothing is trimmed, and the empty text is a text."""
    found = only_rule(document(rule(line)))
    assert (found.request_message, found.signed) == (message, signed)


@pytest.mark.parametrize("text", ["2027-06-30", '"2027-06-30"', "'2027-06-30'"])
def test_a_day_may_stand_in_quotes(text: str) -> None:
    """JSON has no other way."""
    assert only_rule(document(rule(f"expires: {text}"))).expires == date(2027, 6, 30)


@pytest.mark.parametrize(
    ("signalr", "target"),
    [(SIGNALR, SITE), (ANY_SIGNALR, SITE), (SIGNALR, ANY_SITE), (ANY_SIGNALR, ANY_SITE), (SIGNALR.upper(), SITE.lower())],
)
def test_ids_come_in_any_case_and_the_last_name_may_be_any(signalr: str, target: str) -> None:
    """Of the service, of the target, or of both."""
    found = only_rule(document(rule(signalr=signalr, target=target)))
    assert str(found.signalr).upper() == signalr.upper()
    assert found.signalr.is_wildcard is signalr.endswith("*")
    assert found.target.is_wildcard is target.endswith("*")


# Defaults


def test_a_default_is_for_rules_that_leave_the_key_out() -> None:
    """A rule's own key replaces it, one key at a time."""
    pins = f"endpoint_subscriptions: [{SUBSCRIPTION}]"
    defaults = f"slots: [staging]\nrequest_message: {{signed: true}}\n{pins}\nowner: us\nexpires: 2027-06-30"
    plain, own = parse(
        document(
            rule(),
            rule("slots: [production]", "request_message: hi", "endpoint_subscriptions: []", "owner: ''", rule_id="b"),
            defaults=defaults,
        )
    ).rules
    assert (plain.slots, plain.signed, plain.endpoint_subscriptions) == (("staging",), True, (SUBSCRIPTION,))
    assert (plain.owner, plain.expires) == ("us", date(2027, 6, 30))
    assert (own.slots, own.signed, own.request_message, own.endpoint_subscriptions) == (("production",), False, "hi", ())
    assert (own.owner, own.expires) == ("", date(2027, 6, 30))


def test_a_deny_rule_takes_only_what_makes_it_no_narrower() -> None:
    """Not the expiry above all: a denial ends only where its own rule says so."""
    demands = "request_message: hi\non_removal: revoke\naccept_exposure_change: true"
    defaults = f"slots: [staging]\nexpires: 2027-06-30\nowner: us\nticket: T\n{demands}"
    found = only_rule(document(rule(effect="deny", target=ANY_SITE), defaults=defaults))
    assert (found.slots, found.owner, found.ticket) == (("staging",), "us", "T")
    assert (found.expires, found.request_message, found.on_removal) == (None, None, OnRemoval.REPORT)
    assert not found.accept_exposure_change


def test_a_deny_rule_may_expire_by_its_own_word() -> None:
    """As any rule."""
    assert only_rule(document(rule("expires: 2027-06-30", effect="deny"))).expires == date(2027, 6, 30)


@pytest.mark.parametrize(
    "defaults",
    [
        "request_message: {signed: true}",
        f"endpoint_subscriptions: [{SUBSCRIPTION}]",
        f"{{endpoint_subscriptions: [{SUBSCRIPTION}]}}",
    ],
)
def test_a_default_can_make_a_template_without_the_link_safe(defaults: str) -> None:
    """A rule is judged as if it had written what it takes from the defaults."""
    assert only_rule(document(rule('endpoint_name: "*"'), defaults=defaults)).endpoint_name == "*"


def test_a_rule_can_replace_a_default_that_does_not_go_with_it() -> None:
    """Word for word."""
    defaults = "accept_exposure_change: true\non_removal: revoke\nendpoint_name: '*'"
    own = ("accept_exposure_change: false", "on_removal: report", "endpoint_name: '{link}'")
    assert only_rule(document(rule(*own, target=ANY_SITE), defaults=defaults)).on_removal is OnRemoval.REPORT


# Mistakes: the marks are where the problems must be.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("¶- 1\n", ["the document is a list"]),
        ("¶hello\n", ["the document is a text"]),
        ("¶null\n", ["the document is nothing"]),
        ("---\n¶", ["the document is nothing"]),
        ("¶rules: []\n", ["the document has no version"]),
        ("¶version: 1\n", ["the document has no rules"]),
        ("version: ¶2\nrules: []\n", ["write version: 1"]),
        ('version: ¶"1"\nrules: []\n', ["write version: 1"]),
        ("version: ¶1.0\nrules: []\n", ["write version: 1"]),
        ("version: ¶01\nrules: []\n", ["write version: 1"]),
        ("¶version:\nrules: []\n", ["write version: 1"]),
        ("version: 1\n¶rules:\n", ["rules is nothing: write a list of rules, [] for none"]),
        ("version: 1\nrules: ¶{}\n", ["rules is a mapping"]),
        ("version: 1\nrules:\n  ¶a: 1\n", ["rules is a mapping"]),
        ("version: 1\nrules: [¶1, ¶[], ¶x]\n", ["this rule is a number", "this rule is a list", "this rule is a text"]),
        ("version: 1\nrules:\n  -¶\n  - ¶~\n", ["this rule is nothing"] * 2),
        ("version: 1\nrules: []\n¶pausd: true\n", ["no key 'pausd': did you mean paused?"]),
        ("version: 1\nrules: []\n¶Paused: true\n", ["did you mean paused?"]),
        ("version: 1\nrules: []\n¶zzz: true\n", ["take it out; there are version, paused, defaults, rules"]),
        ("version: 1\nrules: []\n¶1: true\n", ["no key '1'"]),
        ("version: 1\nrules: []\npaused: ¶yes\n", ["'yes' stands here where true or false is wanted"]),
        ("version: 1\nrules: []\npaused: ¶1\n", ["'1' stands here where true or false is wanted"]),
        ('version: 1\nrules: []\npaused: ¶"true"\n', ["without quotes"]),
        ("version: 1\nrules: []\n¶paused:\n", ["nothing stands here where true or false"]),
        ("version: 1\nrules: []\n¶defaults:\n", ["defaults is nothing"]),
        ("version: 1\nrules: []\ndefaults: ¶[]\n", ["defaults is a list"]),
        (
            f"version: 1\nrules: []\ndefaults:\n  ¶id: a\n  ¶effect: allow\n  ¶signalr: {SIGNALR}\n  ¶target: x\n",
            ["id belongs in each rule", "effect belongs", "signalr belongs", "target belongs"],
        ),
        ("version: 1\nrules: []\ndefaults: {¶slot: [x]}\n", ["did you mean slots?"]),
        (
            "version: 1\nrules: []\ndefaults: {¶paused: true}\n",
            ["defaults has no key 'paused': take it out; there are slots, expires"],
        ),
        ("version: 1\nrules: []\ndefaults: {slots: ¶[], expires: ¶soon}\n", ["no slot is listed", "'soon' stands here"]),
        ("version: 1\nrules: []\nrules: []\n".replace("\nrules", "\n¶rules", 2).replace("¶", "", 1), ["is here twice"]),
    ],
)
def test_a_mistake_in_the_document_is_named_at_its_place(text: str, said: list[str]) -> None:
    """The top level and the defaults."""
    assert_problems(text, said)


def assert_problems(text: str, said: list[str]) -> None:
    plain, places = marked(text)
    problems = problems_of(plain)
    assert [(problem.line, problem.column) for problem in problems] == places
    for problem, part in zip(problems, said, strict=True):
        assert part in problem.message
        assert problem.message.isprintable()
        assert len(problem.message) < 500


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"¶effect: allow\nsignalr: {SIGNALR}\ntarget: {SITE}", ["the rule has no id"]),
        (f"¶id: a\nsignalr: {SIGNALR}\ntarget: {SITE}", ["the rule has no effect"]),
        (f"¶id: a\neffect: allow\ntarget: {SITE}", ["the rule has no signalr"]),
        (f"¶id: a\neffect: allow\nsignalr: {SIGNALR}", ["the rule has no target"]),
        ("{¶}", []),
        (rule("¶slot: [x]"), ["the rule has no key 'slot': did you mean slots?"]),
        (rule("¶request-message: x"), ["did you mean request_message?"]),
        (rule("¶RequestMessage: x"), ["did you mean request_message?"]),
        (rule("¶Slots: [x]"), ["did you mean slots?"]),
        (rule(f"¶{'x' * 500}: 1"), ["xxx'...: take it out"]),
        (rule('¶"a\\e[2J": 1'), [r"'a\x1b[2J'"]),
        (rule(rule_id="¶''"), ["'' is no rule id"]),
        (rule(rule_id="¶a b"), ["'a b' is no rule id"]),
        (rule(rule_id="¶-a"), ["is no rule id"]),
        (rule(rule_id="¶é"), ["is no rule id"]),
        (rule(rule_id='¶"a\\n"'), [r"'a\n' is no rule id"]),
        (rule(rule_id="¶" + "x" * 65), ["is no rule id"]),
        (rule(rule_id="¶12"), ["a number ('12') stands here where a text is wanted: put it in quotes"]),
        (rule(rule_id="¶true"), ["a truth value ('true') stands here"]),
        (rule(rule_id="¶null"), ["nothing stands here where a text is wanted"]),
        (rule(rule_id="¶[a]"), ["a list stands here where a text is wanted"]),
        (rule(effect="¶Allow"), ["'Allow' is unknown here: did you mean allow?"]),
        (rule(effect="¶permit"), ["write one of allow, deny"]),
        (rule(effect="¶yes"), ["'yes' is unknown here"]),
        (rule(effect="¶true"), ["a truth value"]),
        (rule(signalr="¶contoso-signalr"), ["is not an ARM id"]),
        (rule(signalr="¶" + "/x" * 2000), ["at most 2048 characters"]),
        (rule(signalr=f"¶{SITE}"), ["write the id of a Microsoft.SignalRService/signalR"]),
        (rule(signalr=f"¶{SIGNALR}/sharedPrivateLinkResources/x"), ["write the id of a Microsoft.SignalRService/signalR"]),
        (rule(signalr=f"¶{GROUP}/Microsoft.SignalRService/webPubSub/x"), ["write the id of"]),
        (rule(target=f"¶{SIGNALR}"), ["write the id of a Microsoft.Web/sites"]),
        (rule(target=f"¶{SITE}/slots/staging"), ["write its site here, and the slot's name under slots"]),
        (rule(target=f"¶{SITE}/slots/*"), ["write its site here, and the slot's name under slots"]),
        (rule(target=f"¶{SITE}*"), ["has a * where none may be"]),
        (rule(target=f"¶{SITE}/*"), ["is not an ARM id"]),
        (rule(target="¶" + SITE.replace("contoso/", "*/")), ["has a * where none may be"]),
        (
            rule(target="¶" + SITE.replace("00000000-0000-0000-0000-00000000000a", '"*"').replace('"', "")),
            ["has a * where none may be"],
        ),
        (rule(target="¶" + SITE.replace("Microsoft.Web", "*")), ["has a * where none may be"]),
        (rule(target="¶" + SITE.replace("00000000-0000-0000-0000-00000000000a", "0" * 32)), ["is not a subscription id"]),
        (rule(target="¶" + SITE.replace("00000000000a", "00000000000a-")), ["is not a subscription id"]),
        (rule(target='¶"*"'), ["is not an ARM id"]),
        (rule(target=f"¶'{SITE} '"), ["is not an ARM id"]),
        (rule(target=f'¶"{SITE}\\n"'), ["is not an ARM id"]),
        (rule(target=f'¶"{SITE}\\0"'), ["is not an ARM id"]),
        (rule("slots: ¶staging"), ["a text stands here where a list is wanted"]),
        (rule("slots: ¶[]"), ["no slot is listed"]),
        (rule("¶slots:"), ["nothing stands here where a list is wanted"]),
        (rule("slots: [staging, ¶Staging]"), ["'Staging' is here twice"]),
        (rule("slots: [production, ¶PRODUCTION]"), ["is here twice"]),
        (rule("slots: [¶'*', ¶-a, ¶a-, ¶a_b, ¶1, ¶'']"), ["is not a slot's name"] * 4 + ["a number"] + ["is not a slot's name"]),
        (rule(f"slots: [¶{'x' * 60}]"), ["is not a slot's name"]),
        (rule("request_message: ¶12"), ["a number"]),
        (rule("request_message: ¶true"), ["a truth value"]),
        (rule("¶request_message:"), ['nothing stands here where a text is wanted: write one ("" for an empty one)']),
        (rule("request_message: ¶[hi]"), ["a list stands here"]),
        (rule(f"request_message: ¶{'x' * 141}"), ["has 141 characters"]),
        (rule('request_message: ¶"\\ud800"'), ["half of a surrogate pair"]),
        (rule("request_message: ¶|\n  please approve"), ["a block text"]),
        (rule("request_message: {signed: ¶false}"), ["signed: false demands nothing"]),
        (rule("request_message: {signed: ¶yes}"), ["true or false is wanted"]),
        (rule("request_message: {signed: ¶'true'}"), ["true or false is wanted"]),
        (rule("request_message: {¶signed: }"), ["true or false is wanted"]),
        (rule("request_message: ¶{}"), ["this demands nothing"]),
        (rule("request_message: ¶{¶Signed: true}"), ["this demands nothing", "'Signed' is unknown here"]),
        (rule("request_message: {signed: true, ¶key: x}"), ["'key' is unknown here"]),
        (rule("endpoint_subscriptions: ¶x"), ["a text stands here where a list is wanted"]),
        (rule("endpoint_subscriptions: [¶x]"), ["is not a subscription id"]),
        (rule(f"endpoint_subscriptions: [¶'{{{SUBSCRIPTION}}}']"), ["is not a subscription id"]),
        (rule(f"endpoint_subscriptions: [{SUBSCRIPTION}, ¶{SUBSCRIPTION.upper()}]"), ["is here twice"]),
        (rule("endpoint_name: ¶'{lnk}'"), ["did you mean {link}?"]),
        (rule("endpoint_name: ¶''"), ["the template is empty"]),
        (rule("endpoint_name: ¶a/{link}"), ["no endpoint's name can have"]),
        (rule("endpoint_name: ¶{link}"), ["a mapping stands here where a text is wanted"]),
        (rule("accept_exposure_change: ¶yes"), ["true or false"]),
        (rule("expires: ¶2027-06-30T00:00:00Z"), ["write YYYY-MM-DD"]),
        (rule("expires: ¶2027-06-30 10:00:00"), ["write YYYY-MM-DD"]),
        (rule("expires: ¶2027-6-30"), ["write YYYY-MM-DD"]),
        (rule("expires: ¶20270630"), ["write YYYY-MM-DD"]),
        (rule("expires: ¶2027-W26-3"), ["write YYYY-MM-DD"]),
        (rule("expires: ¶2027-02-30"), ["in no calendar"]),
        (rule("expires: ¶0000-01-01"), ["in no calendar"]),
        (rule("expires: ¶never"), ["write YYYY-MM-DD"]),
        (rule("¶expires:"), ["nothing stands here where a day is wanted"]),
        (rule("owner: ¶[a]"), ["a list stands here"]),
        (rule('owner: ¶"a\\nb"'), ["a line break or a control character"]),
        (rule(f"owner: ¶{'x' * 257}"), ["has 257 characters"]),
        (rule("ticket: ¶1234"), ["a number ('1234') stands here where a text is wanted: put it in quotes"]),
        (rule("on_removal: ¶delete"), ["write one of report, revoke"]),
        (rule("on_removal: ¶Revoke"), ["did you mean revoke?"]),
    ],
)
def test_a_mistake_in_a_rule_is_named_at_its_place(text: str, said: list[str]) -> None:
    """Every key, with what is wrong and what to do, on one line, whatever the document holds."""
    if text == "{¶}":
        plain, places = marked(document("¶{}"))
        problems = problems_of(plain)
        assert {(problem.line, problem.column) for problem in problems} == set(places)
        assert [problem.message for problem in problems] == [
            f"the rule has no {key}: add it" for key in ("effect", "id", "signalr", "target")
        ]
        return
    assert_problems(document(text), said)


@pytest.mark.parametrize(
    ("rules", "defaults", "said"),
    [
        ([rule("endpoint_name: ¶'*'")], "", ["has no {link}"]),
        (
            [rule("endpoint_name: ¶'{signalr}'", "request_message: hi")],
            "",
            ["request_message: {signed: true}, or endpoint_subscriptions"],
        ),
        ([rule("endpoint_name: ¶'*'", "endpoint_subscriptions: []")], "request_message: hi", ["has no {link}"]),
        ([rule("endpoint_name: ¶'*'", "request_message: hi")], "request_message: {signed: true}", ["has no {link}"]),
        (
            ["¶" + rule()],
            "endpoint_name: '*'",
            ["endpoint_subscriptions (from defaults, line 3)"],
        ),
        ([rule("accept_exposure_change: ¶true", target=ANY_SITE)], "", ["goes with no target *"]),
        (["¶" + rule(target=ANY_SITE)], "accept_exposure_change: true", ["(from defaults, line 3)"]),
        ([rule("on_removal: ¶revoke", target=ANY_SITE)], "", ["goes with no target *"]),
        (["¶" + rule(target=ANY_SITE)], "on_removal: revoke", ["(from defaults, line 3)"]),
        (
            [rule("accept_exposure_change: ¶true", "on_removal: ¶revoke", "endpoint_name: ¶'*'", target=ANY_SITE)],
            "",
            ["accept", "on_removal", "'*'"],
        ),
        ([rule("¶request_message: hi", "¶endpoint_name: '*'", effect="deny")], "", ["means nothing in a deny rule"] * 2),
        (
            [rule("¶endpoint_subscriptions: []", "¶accept_exposure_change: false", "¶on_removal: report", effect="deny")],
            "",
            ["means nothing"] * 3,
        ),
        ([rule(), rule(rule_id="b"), rule(rule_id="¶A")], "", ["'A' is the id of the rule in line 3 too"]),
        ([rule(), rule(rule_id="¶a"), rule(rule_id="¶a")], "", ["line 3"] * 2),
    ],
)
def test_what_keys_may_not_say_together_is_named(rules: list[str], defaults: str, said: list[str]) -> None:
    """At the rule's own key, else at the rule, with the line of the default."""
    assert_problems(document(*rules, defaults=defaults), said)


def test_two_rules_on_one_line_with_one_id_are_told_apart() -> None:
    """By their columns."""
    one = as_yaml({"id": "a", "effect": "allow", "signalr": SIGNALR, "target": SITE})
    (problem,) = problems_of(f"version: 1\nrules: [{one}, {one}]\n")
    assert problem.line == 2
    assert "'a' is the id of the rule in line 2 too" in problem.message


@pytest.mark.parametrize(
    "lines",
    [
        ("endpoint_name: '*'", "request_message: 12"),
        ("endpoint_name: '*'", "endpoint_subscriptions: [x]"),
        ("endpoint_name: '{lnk}'",),
    ],
)
def test_what_cannot_be_read_is_not_judged_together(lines: tuple[str, ...]) -> None:
    """One mistake is one problem: whoever mends it may have met the other demand as well."""
    assert len(problems_of(document(rule(*lines)))) == 1


def test_a_wrong_default_is_one_problem_however_many_rules_take_it() -> None:
    """At the default."""
    (problem,) = problems_of(document(rule("endpoint_name: '*'"), rule(rule_id="b"), defaults="request_message: 12"))
    assert problem.line == 3


def test_what_is_read_already_wrong_is_told_once() -> None:
    """An alias or a tag is a problem of its own; nothing more is said of the value."""
    for value in ("*x", "!!str x", "&x {}"):
        problems = problems_of(document(rule(f"owner: {value}")))
        assert len(problems) == (2 if value.startswith("&") else 1)


def test_every_problem_is_listed_sorted_by_place() -> None:
    """Of the YAML, of the values and of what they say together, in one go."""
    text = f"""\
version: ¶2
paused: ¶no
defaults:
  ¶id: x
  on_removal: revoke
  ticket: ¶12
rules:
  - id: ¶"a b"
    effect: ¶Allow
    signalr: ¶/subscriptions/x
    target: {ANY_SITE}
    owner: ¶&x me
    ¶owner: you
  - ¶id: d
    effect: deny
    target: ¶{SITE}/slots/x
    ¶request_message: hi
  -¶
  - ¶id: e
    effect: allow
    signalr: {SIGNALR}
    target: {ANY_SITE}
"""
    plain, places = marked(text)
    assert [(problem.line, problem.column) for problem in problems_of(plain)] == places


def test_a_document_of_nothing_but_mistakes_ends_with_a_word() -> None:
    """After a thousand problems, and the error's own message has only the first few."""
    with pytest.raises(AllowlistError) as caught:
        parse("version: 1\nrules: [" + "1," * (MAX_PROBLEMS + 100) + "]\n")
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert "there are more problems" in caught.value.problems[-1].message
    assert len(str(caught.value)) < 5000
    assert str(caught.value).endswith(f"and {MAX_PROBLEMS - 19} more")


def test_a_problem_of_the_whole_document_has_no_place() -> None:
    """One that is too large is not searched for lines."""
    (problem,) = problems_of("#" * 2_000_000)
    assert (problem.line, problem.column) == (0, 0)


# Properties


def parsed_or_refused(text: str) -> Allowlist | AllowlistError:
    try:
        return parse(text)
    except AllowlistError as error:
        return error


@given(st.text(max_size=300))
def test_any_text_is_an_allowlist_or_an_allowlist_error(text: str) -> None:
    """Nothing else comes out, and a text by chance is no allowlist that allows anything."""
    match parsed_or_refused(text):
        case Allowlist(rules=rules):
            assert rules == ()
        case AllowlistError() as error:
            assert error.problems
            assert str(error).isprintable()


@given(json_documents, st.data())
def test_any_damage_to_a_document_is_an_allowlist_or_an_allowlist_error(value: dict[str, object], data: st.DataObject) -> None:
    """A cut, a doubled stretch, a changed character."""
    text = as_yaml(value)
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 20)))
    inserted = data.draw(st.sampled_from(["", text[begin:end] * 2, "*", "&a ", ": ", "\x00", "\n", "}", '"']))
    found = parsed_or_refused(text[:begin] + inserted + text[end:])
    assert isinstance(found, Allowlist) or found.problems


scalars = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    scalars,
    st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), min_size=1, max_size=4, unique=True),
    st.dates(),
    st.sampled_from(list(OnRemoval)),
)
def test_what_is_written_comes_back(message: str, slots: list[str], expires: date, on_removal: OnRemoval) -> None:
    """Every text as it is, whatever characters it holds."""
    value = {
        "version": 1,
        "rules": [
            {
                "id": "a",
                "effect": "allow",
                "signalr": SIGNALR,
                "target": SITE,
                "request_message": message,
                "slots": slots,
                "expires": expires.isoformat(),
                "on_removal": on_removal.value,
            }
        ],
    }
    found = only_rule(as_yaml(value))
    assert (found.request_message, found.slots) == (message, tuple(slots))
    assert (found.expires, found.on_removal) == (expires, on_removal)


@given(st.lists(st.sampled_from(["# why\n", "\n", "  # indented\n"]), max_size=3).map("".join))
def test_a_rules_own_text_reads_as_the_same_rule(between: str) -> None:
    """What a decision records of a rule can be put into a document again."""
    text = FULL + between + "  - " + rule("slots: [staging]", rule_id="b").replace("\n", "\n    ") + "\n" + between
    for found in parse(text).rules:
        again = only_rule(document(found.text))
        assert (again.id, again.slots, again.request_message) == (found.id, found.slots, found.request_message)
        assert again.text == found.text
        assert text.splitlines()[found.line - 1] == f"  - {found.text.splitlines()[0]}"
