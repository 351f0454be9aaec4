"""What may happen in a story, by name: counted in every run, so that a table can show that none of it is only talked about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

CATALOGUE: Final = {
    "workers": (
        "several workers at once",
        "clocks more than a minute apart",
        "a worker dies",
        "a person at a desk runs the engine beside them",
    ),
    "Event Grid": (
        "an event lost",
        "an event late by minutes",
        "an event repeated",
        "an event overtaken by a later one",
        "an event forged",
    ),
    "the queue": (
        "a message again, its visibility timeout over",
        "a message again after a failure",
        "a message again, though its work was done",
        "a message that is none",
        "a message put aside as poison",
        "a sweep that goes on in messages",
    ),
    "Azure Resource Manager": (
        "429",
        "5xx, nothing done",
        "no answer within the timeout",
        "a list that shows what is over",
        "the same id in another case",
        "a write done, its answer lost",
        "a write done minutes after its caller gave up",
        "a write refused by a policy",
        "a write refused by another operation",
        "a write to what somebody else has decided",
    ),
    "links and connections": (
        "a connection before its link's Succeeded",
        "a connection after its link's Succeeded",
        "a link that takes more than three minutes",
        "a link that is stuck",
        "a link that fails",
        "a replica's connection",
        "a link without createdAt",
        "an Approving that never ends",
        "a link's status half an hour late or more",
        "a link's status null",
        "a link's status that never moves",
    ),
    "the stores": (
        "the stores away",
        "a store's write done, its answer lost",
        "a store's write done, sent again and refused",
        "a conflict in the ledger",
        "a conflict of an ETag",
        "what was remembered lost",
    ),
    "operators": (
        "approve in the portal",
        "reject in the portal",
        "delete a connection in the portal",
        "approve at a desk",
        "reject at a desk",
        "adopt at a desk",
        "sweep --wait at a desk",
        "delete a link",
        "make a link anew under the same name",
        "pause the allowlist",
        "break the allowlist: not valid",
        "break the allowlist: unreadable",
        "edit the allowlist",
        "deploy the app anew, in observe mode",
        "deploy the app anew, in enforce mode",
        "revert the allowlist",
    ),
    "attackers": (
        "an impostor before the link",
        "an impostor before the genuine connection",
        "an impostor beside the genuine connection",
        "an impostor after the approval",
        "a name and a message copied",
        "a name or a message that nearly fits",
        "a signed message replayed by a connection",
        "a signed message replayed by a link",
        "a link of a SignalR of their own, scanned",
        "a link of a SignalR of their own, not scanned",
        "a flood",
    ),
    "drift and revoking": (
        "an approval that nothing explains",
        "an approval that no rule allows any more",
        "an approval whose link is gone",
        "an approval revoked",
        "a revoking withheld, for one change would end too many",
        "a revoking that Azure refused for good",
    ),
}
"""By who or what does it."""
_KNOWN: Final = frozenset(name for names in CATALOGUE.values() for name in names)


@dataclass(slots=True)
class Happened:
    """How often each of it happened in one run."""

    counts: Counter[str] = field(default_factory=Counter)

    def note(self, name: str) -> None:
        """Once more.

        Raises:
            KeyError: where the catalogue has no such thing.

        """
        if name not in _KNOWN:
            raise KeyError(name)
        self.counts[name] += 1
