"""The planted bugs: each a mistake that somebody could make in the product's own code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one function's text."""

    module: str
    function: str
    """Its name, with its class's where it has one."""
    old: str
    """What it says now, once."""
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug."""

    name: str
    says: str
    edits: tuple[Edit, ...]


def _bug(name: str, says: str, *edits: Edit) -> Mutant:
    return Mutant(name, says, edits)


DECIDE: Final = "shared.core.decide"
EVIDENCE: Final = "shared.core.evidence"
CONFIRM: Final = "shared.core.confirm"
STEP: Final = "shared.services.step"
REVOKE: Final = "shared.core.revoke"
REVOKING: Final = "shared.services.revoke"
DRIFT: Final = "shared.core.drift"

MUTANTS: Final = (
    # Evidence
    _bug(
        "uniqueness-dropped",
        "a connection need not be alone",
        Edit(DECIDE, "_about_connection", "if evidence.rival_links or evidence.rival_connections:", "if False:"),
    ),
    _bug(
        "rival-links-ignored",
        "a second link that fits is no rival",
        Edit(EVIDENCE, "Correlation._links_for", "rivals=tuple(sorted(fitting[1:], key=lambda link: link.id))", "rivals=()"),
    ),
    _bug(
        "only-allowlisted-links",
        "links of services that no rule names do not count",
        Edit(
            "shared.services.look",
            "observe",
            "if link.signalr not in services]",
            "if link.signalr not in services and scope.allowlist and scope.allowlist.knows_service(link.signalr)]",
        ),
    ),
    _bug(
        "only-pending-rivals",
        "a connection that is Approved already is no rival",
        Edit(EVIDENCE, "Correlation.could_be", "return name_fits\n", "return False\n"),
    ),
    _bug(
        "ghosts-ignored",
        "a fitting connection that has vanished is forgotten at once",
        Edit(EVIDENCE, "Correlation._haunts", "return not older and", "return False and"),
    ),
    _bug(
        "name-not-compared",
        "any endpoint's name fits",
        Edit(EVIDENCE, "Correlation.could_be", "connection.endpoint is None or", "True or"),
        Edit(DECIDE, "_demands", "if endpoint is None or not fits(", "if endpoint is None or False and fits("),
    ),
    _bug(
        "message-not-compared",
        "any request message fits",
        Edit(EVIDENCE, "Correlation.could_be", "connection.description == link.request_message", "True"),
    ),
    _bug(
        "message-trimmed",
        "messages are compared without the white space around them",
        Edit(
            EVIDENCE,
            "Correlation.could_be",
            "connection.description == link.request_message",
            "connection.description.strip() == link.request_message.strip()",
        ),
    ),
    _bug(
        "settling-skipped",
        "one look is enough",
        Edit(DECIDE, "_settle", "if evidence.settled_since is None or", "if False and"),
    ),
    _bug(
        "settling-survives-change",
        "evidence that has changed goes on settling",
        Edit("shared.core.memory", "Memory.settled_since", "row.pair == pair and row.digest == digest", "row.pair == pair"),
    ),
    _bug(
        "older-than-link-ignored",
        "a connection may have been there before its link",
        Edit(
            DECIDE,
            "_about_connection",
            "(absent is not None and evidence.first_seen < absent) or (made is not None and evidence.first_seen < made)",
            "False",
        ),
    ),
    _bug(
        "provisioning-ignored",
        "the link need not be Succeeded",
        Edit(DECIDE, "_about_link", "match link.provisioning:", "match LinkProvisioning.SUCCEEDED:"),
    ),
    _bug(
        "link-status-ignored",
        "the link need not be Pending",
        Edit(DECIDE, "_about_link_status", "match link.status:", "match LinkStatus.PENDING:"),
    ),
    _bug(
        "event-trusted",
        "a link that an event names is taken to be Succeeded",
        Edit(
            "shared.services.look",
            "observe",
            "*(link for service in read",
            "*(__import__('copy').replace(link, provisioning=link.provisioning.__class__('Succeeded'))"
            " if link.signalr in scope.via else link for service in read",
        ),
    ),
    _bug(
        "inline-lists-trusted",
        "links come from the last list call instead of a read of their own",
        Edit("shared.services.look", "look", "services = scope.services()", "services = []"),
    ),
    _bug(
        "ids-case-sensitive",
        "the same id in another case is another id",
        Edit("shared.core.arm_id", "ArmId.__post_init__", "fold_case(str(self))", "str(self)"),
    ),
    # Rules
    _bug(
        "pause-ignored",
        "a paused allowlist approves",
        Edit(DECIDE, "_about_rules", "if evidence.paused:", "if False:"),
        Edit(STEP, "Step._called_off", "if again.allowlist.paused:", "if False:"),
    ),
    _bug(
        "allowlist-not-read-again",
        "what the look began with is good enough for the write",
        Edit(
            STEP,
            "Step._called_off",
            "again = await load_allowlist(self.engine.allowlist)",
            "return ''\n    again = await load_allowlist(self.engine.allowlist)",
        ),
    ),
    _bug("deny-ignored", "deny rules do not count", Edit(DECIDE, "_about_rules", "if denies:", "if False:")),
    _bug(
        "expiry-ignored",
        "a rule holds for ever",
        Edit("shared.core.allowlist", "Rule.expired", "return self.expires is not None and", "return False and"),
    ),
    _bug(
        "pins-ignored",
        "the endpoint may live in any subscription",
        Edit(DECIDE, "_demands", "if rule.endpoint_subscriptions and", "if False and"),
    ),
    _bug(
        "signature-not-verified",
        "whatever looks like a signed message is one",
        Edit(DECIDE, "_demands", "if rule.signed:", "if rule.signed and not link.request_message.startswith('lg1.'):"),
    ),
    _bug(
        "signature-respent",
        "a signed message may be used twice",
        Edit(DECIDE, "_about_signature", "if signature.spent_by:", "if False:"),
    ),
    _bug(
        "exposure-ignored",
        "a site may go off the public internet unasked",
        Edit(DECIDE, "_changes_exposure", "return evidence.site is not None and", "return False and"),
    ),
    _bug("observe-writes", "observe mode writes", Edit(STEP, "Step._approve_one", "or settings.mode is not Mode.ENFORCE", "")),
    # The past
    _bug(
        "quarantine-forgotten",
        "whoever is left is approved after a taking back",
        Edit(DECIDE, "_about_past", "if evidence.quarantined_by:", "if False:"),
    ),
    _bug(
        "person-overruled",
        "what a person rejected is approved",
        Edit(DECIDE, "_about_past", "if evidence.rejected_by:", "if False:"),
    ),
    _bug(
        "portal-rejection-unseen",
        "a rejection made with other tools does not count",
        Edit(STEP, "Step._notice_rejections", "if connection.status is not ConnectionStatus.REJECTED or", "if True or"),
    ),
    _bug(
        "unconfirmed-ignored",
        "a second approval for a link does not wait for the first",
        Edit(DECIDE, "_about_past", "for decision in evidence.unconfirmed:", "for decision in ():"),
    ),
    # Writing and recording
    _bug(
        "act-before-intent",
        "the write comes before its record",
        Edit(
            STEP,
            "Step._approve",
            "await self.journal.append(entry)",
            "await self.engine.azure.set_connection(connection.id, 'Approved', f'lg:{decision.id}')\n"
            "    await self.journal.append(entry)",
        ),
    ),
    _bug(
        "write-repeated",
        "a write that was not answered is sent once more",
        Edit(
            "shared.services.act",
            "write",
            "return Unanswered(error)\n    except AzureThrottled",
            "return await write(azure, intent, description)\n    except AzureThrottled",
        ),
    ),
    _bug(
        "no-answer-is-no",
        "a write that was not answered is recorded as refused",
        Edit(
            "shared.services.act",
            "write",
            "return Unanswered(error)\n    except AzureThrottled",
            "return Refused(error)\n    except AzureThrottled",
        ),
    ),
    _bug(
        "outcome-not-recorded",
        "what Azure answered is not written down",
        Edit(STEP, "Step.write", 'await self._end_for_certain(intent, Outcome.SENT, "Azure accepted it")', "pass"),
    ),
    _bug(
        "late-write-unseen",
        "an approval that was given up and is there after all stays given up",
        Edit(STEP, "Step._was_written_late", "approval.outcome is Outcome.ABANDONED", "False"),
    ),
    _bug(
        "attempt-not-counted",
        "a new decision takes the number of the last one",
        Edit("shared.core.entries", "make_decision", "else last.number + 1", "else last.number"),
    ),
    _bug(
        "chain-conflict-ignored",
        "a record is put behind whatever somebody else wrote meanwhile",
        Edit(
            "shared.services.journal",
            "Journal.append",
            "await self._ledger.append(record)",
            "try:\n        await self._ledger.append(record)\n"
            "    except StoreConflictError:\n"
            "        await self.load()\n"
            "        record = seal(entry, self._records[-1].head if self._records else EMPTY)\n"
            "        await self._ledger.append(record)",
        ),
    ),
    _bug(
        "etag-ignored",
        "a row is replaced whatever its version is by now",
        Edit(
            "shared.services.notebook",
            "keep",
            "replaces=kept.version",
            "replaces=row.version if (row := await state.get(partition, key)) else None",
        ),
    ),
    _bug(
        "secret-recorded",
        "Azure's own words get into the ledger",
        Edit(STEP, "Step.write", "{error.status or ''} {error.code}", "{error}"),
    ),
    # Confirming and taking back
    _bug(
        "confirmed-without-the-link",
        "Approved at the site is confirmed, whatever the link says",
        Edit(
            CONFIRM,
            "_approved",
            "if situation.link is None or situation.link.status is not LinkStatus.APPROVED:",
            "if situation.link is None:",
        ),
    ),
    _bug(
        "ambiguous-confirmed",
        "an approved rival does not matter once the link is Approved",
        Edit(CONFIRM, "_approved", "if any(rival.status in approved for rival in situation.rivals):", "if False:"),
    ),
    _bug(
        "slowness-takes-back",
        "an approval that is merely unconfirmed at the deadline is taken back",
        Edit(
            CONFIRM, "_unconfirmed", "if contradicted and looks.contradicted >= ENOUGH_LOOKS", "if looks.approved >= ENOUGH_LOOKS"
        ),
    ),
    _bug(
        "one-look-takes-back",
        "one contradiction is enough",
        Edit(CONFIRM, "_unconfirmed", "if contradicted and looks.contradicted >= ENOUGH_LOOKS", "if looks.contradicted >= 1"),
    ),
    _bug("deadline-ignored", "a contradiction counts at once", Edit(CONFIRM, "_unconfirmed", "if overdue and", "if")),
    _bug(
        "person-taken-back",
        "what a person approved is taken back like any other",
        Edit(CONFIRM, "_unconfirmed", "and not intent.by_person", ""),
    ),
    _bug(
        "adoption-forgotten",
        "an approval that a person has adopted is taken back",
        Edit(
            "shared.core.history",
            "_read_human",
            "if intent.action is Action.APPROVE and intent.connection == human.connection:",
            "if False:",
        ),
    ),
    _bug(
        "overdue-is-no-alarm",
        "an approval that is unconfirmed at the deadline is no more than a warning",
        Edit(
            "shared.services.findings",
            "of_open_approval",
            "Severity.CRITICAL if state.overdue else Severity.WARNING",
            "Severity.WARNING",
        ),
    ),
    # Budgets and findings
    _bug(
        "budget-off-by-one",
        "one approval more than the budget of a target has",
        Edit("shared.services.budget", "_full_until", "len(here) >= limit.each_target", "len(here) > limit.each_target"),
    ),
    _bug(
        "budget-overall-off-by-one",
        "one approval more than the whole budget has",
        Edit("shared.services.budget", "_full_until", "len(others) >= limit.overall", "len(others) > limit.overall"),
    ),
    _bug(
        "alarm-dropped",
        "a connection that is not alone is held like any other",
        Edit("shared.services.findings", "of_decision", "ambiguous = Code.AMBIGUOUS in", "ambiguous = not Code.AMBIGUOUS in"),
    ),
    # Revoking and drift
    _bug(
        "revoked-after-one-sweep",
        "a rule that is gone at one sweep is gone",
        Edit(REVOKE, "_brakes", "if evidence.last_seen - evidence.first_seen < PATIENCE:", "if False:"),
    ),
    _bug(
        "revoking-hour-by-own-clock",
        "the hour between two sweeps is measured by each worker's own clock",
        Edit(REVOKING, "note_unruled", "last_seen=result.looked_at", "last_seen=engine.clock.now()"),
    ),
    _bug(
        "revoked-under-another-version",
        "the hour goes on while the allowlist changes",
        Edit(
            REVOKING,
            "_change_once",
            "kept.value.seen if kept.value.digest == allowlist.digest else {}",
            "kept.value.seen",
        ),
    ),
    _bug(
        "revoked-on-expiry",
        "a rule that has expired is as good as removed",
        Edit(
            DRIFT,
            "unruled",
            "any(rule.effect is Effect.ALLOW for rule in rules)",
            "any(rule.effect is Effect.ALLOW and not rule.expired(observation.clock) for rule in rules)",
        ),
        Edit(
            REVOKING,
            "_evidence",
            "if rule.effect is Effect.ALLOW)",
            "if rule.effect is Effect.ALLOW and not rule.expired(step.now()))",
        ),
    ),
    _bug(
        "revoked-unasked",
        "every rule asks for revoking",
        Edit(REVOKE, "asks_for_it", "return rule is not None and rule.on_removal is OnRemoval.REVOKE", "return True"),
    ),
    _bug(
        "adopted-revoked",
        "what a person has taken over is revoked",
        Edit(DRIFT, "unruled", "and connection.id not in history.adopted", ""),
        Edit(REVOKE, "_brakes", "if evidence.approval.by_person or evidence.adopted:", "if evidence.approval.by_person:"),
    ),
    _bug(
        "too-many-revoked",
        "one change of the allowlist may end any number of approvals",
        Edit(REVOKING, "revoke_removed", "if due and len(everything) > MOST_BY_ONE_CHANGE:", "if False:"),
        Edit(REVOKE, "judge_revocation", "too_many = evidence.by_this_change > MOST_BY_ONE_CHANGE", "too_many = False"),
    ),
    _bug(
        "revoked-while-paused",
        "a paused allowlist revokes",
        Edit(REVOKE, "_brakes", "if evidence.paused:", "if False:"),
        Edit(REVOKING, "_write", "again is None or again.paused or", "again is None or"),
    ),
    _bug(
        "revoked-link-free-again",
        "whoever asks in the name of a link whose approval was revoked is approved once the rule is back",
        Edit("shared.core.history", "History.quarantined_by", "self.revocations | self.quarantines", "self.quarantines"),
    ),
    _bug(
        "revoked-in-observe-mode",
        "observe mode revokes",
        Edit(REVOKE, "_brakes", "if evidence.mode is not Mode.ENFORCE:", "if False:"),
    ),
    _bug(
        "revoking-never-done",
        "what is due to be revoked stays",
        Edit(REVOKING, "_why_not", "case Revoke():\n            pass", 'case Revoke():\n            return "later"'),
    ),
    _bug(
        "withheld-revoking-untold",
        "that one change would end too many is a mere warning",
        Edit(REVOKING, "_withheld", "severity=Severity.CRITICAL", "severity=Severity.WARNING"),
    ),
    _bug(
        "left-behind-unwatched",
        "a target whose rule is gone is not looked at any more",
        Edit("shared.services.sweep", "_left_behind", "journal.history.is_unfinished or await", "False and await"),
    ),
    _bug(
        "unexplained-untold",
        "an approval by other tools is taken as it is",
        Edit(DRIFT, "_of_approved", "if approval is None and connection.id not in history.adopted:", "if False:"),
    ),
    _bug(
        "description-believed",
        "a description that looks like ours explains an approval",
        Edit(
            DRIFT,
            "_of_approved",
            "if approval is None and connection.id not in history.adopted:",
            "if approval is None and connection.id not in history.adopted and not connection.description:",
        ),
    ),
    _bug(
        "gone-link-untold",
        "an approval outlives its link unnoticed",
        Edit(DRIFT, "_is_gone", "return not any(", "return False and not any("),
    ),
)
"""All of them."""
