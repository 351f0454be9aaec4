"""Allowlist documents for tests: as text with its mistake marked, and as any that hypothesis can think of."""

from __future__ import annotations

import json

from hypothesis import strategies as st

GROUP = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/contoso/providers"
SIGNALR = f"{GROUP}/Microsoft.SignalRService/signalR/contoso-signalr"
ANY_SIGNALR = f"{GROUP}/Microsoft.SignalRService/signalR/*"
SITE = f"{GROUP}/Microsoft.Web/sites/contoso-func"
ANY_SITE = f"{GROUP}/Microsoft.Web/sites/*"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000000b"
HERE = "¶"
"""Where a document's mistake is: right before the character that the problem names."""


def document(*rules: str, defaults: str = "") -> str:
    """A document of these rules, each the lines of one mapping, and these defaults."""
    lines = ["version: 1"]
    if defaults:
        lines += ["defaults:", *(f"  {line}" for line in defaults.splitlines())]
    lines.append("rules:" if rules else "rules: []")
    for rule in rules:
        first, *others = rule.splitlines()
        lines += [f"  - {first}", *(f"    {line}" for line in others)]
    return "\n".join(lines) + "\n"


def rule(*lines: str, rule_id: str = "a", effect: str = "allow", signalr: str = SIGNALR, target: str = SITE) -> str:
    """The lines of a rule."""
    return "\n".join([f"id: {rule_id}", f"effect: {effect}", f"signalr: {signalr}", f"target: {target}", *lines])


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """``text`` without its marks, and the line and column of each."""
    places = []
    plain = []
    for number, line in enumerate(text.split("\n"), 1):
        first, *others = line.split(HERE)
        column = len(first) + 1
        for part in others:
            places.append((number, column))
            column += len(part)
        plain.append(line.replace(HERE, ""))
    return "\n".join(plain), places


# Values of every key, right and wrong, so that any document may be valid or not.
_JUNK = st.sampled_from(
    [None, True, False, 0, 1, 1.5, "", "x", "yes", "*", [], ["x"], [1], {}, {"signed": True}, "\x00", "a\nb", "é"]
)
_IDS = st.sampled_from(
    [
        SIGNALR,
        SIGNALR.upper(),
        ANY_SIGNALR,
        SITE,
        SITE.lower(),
        ANY_SITE,
        f"{SITE}/slots/staging",
        f"{SITE}*",
        f"{SITE}/",
        f"{SITE} ",
        SITE.replace("contoso/", "*/"),
        SITE.replace("00000000-0000-0000-0000-00000000000a", "0000000000000000000000000000000a"),
        SITE.replace("/subscriptions", "subscriptions"),
        f"{GROUP}/Microsoft.KeyVault/vaults/kv",
    ]
)
_OPTIONS = {
    "slots": st.lists(st.sampled_from(["production", "Production", "staging", "s", "-x", "x-", "a b", "x" * 60, 3]), max_size=3),
    "request_message": st.sampled_from(
        [
            "",
            "please approve",
            " x ",
            "x" * 140,
            "x" * 141,
            {"signed": True},
            {"signed": False},
            {"signed": 1},
            {},
            {"signed": True, "x": 1},
        ]
    ),
    "endpoint_subscriptions": st.lists(
        st.sampled_from([SUBSCRIPTION, SUBSCRIPTION.upper(), SUBSCRIPTION[:-1], "*", ""]), max_size=2
    ),
    "endpoint_name": st.sampled_from(
        ["{link}", "{signalr}-{link}-*", "{signalr}", "*", "**", "{lnk}", "{link", "a/b", "", "pe", "a b", "x" * 128, "x" * 129]
    ),
    "accept_exposure_change": st.booleans(),
    "expires": st.sampled_from(["2027-06-30", "2027-02-30", "2027-6-30", "2027-06-30T00:00:00Z", "20270630", "0000-01-01"]),
    "owner": st.sampled_from(["team-chat", "", "x" * 256, "x" * 257, "a\x1b[2J"]),
    "ticket": st.sampled_from(["CHG-1234", 1234, "a\u2028b"]),
    "on_removal": st.sampled_from(["report", "revoke", "Revoke", "delete"]),
}


def _mapping(
    keys: dict[str, st.SearchStrategy[object]], *, required: tuple[str, ...] = ()
) -> st.SearchStrategy[dict[str, object]]:
    """Mostly sound mappings: each optional key now and then, a junk value or an unknown key seldom."""

    def spoiled(mapping: dict[str, object], spoil: tuple[int, object, str]) -> dict[str, object]:
        chance, junk, key = spoil
        return {**mapping, key: junk} if chance == 0 else mapping

    optional = {key: value for key, value in keys.items() if key not in required}
    spoils = st.tuples(st.integers(0, 9), _JUNK, st.sampled_from([*keys, "unknown", "Id"]))
    sound = st.fixed_dictionaries({key: keys[key] for key in required}, optional=optional)
    return st.builds(spoiled, sound, spoils)


_RULES = _mapping(
    {
        "id": st.sampled_from(["a", "contoso-upstream", "A.b_c-1", "x" * 64, "x" * 65, "-a", "a b", ""]),
        "effect": st.sampled_from(["allow", "allow", "allow", "deny", "Allow"]),
        "signalr": st.sampled_from([SIGNALR, ANY_SIGNALR]) | _IDS,
        "target": st.sampled_from([SITE, ANY_SITE]) | _IDS,
        **_OPTIONS,
    },
    required=("id", "effect", "signalr", "target"),
)
_SOUND_RULES = st.fixed_dictionaries(
    {
        "id": st.just("a"),
        "effect": st.sampled_from(["allow", "allow", "deny"]),
        "signalr": st.sampled_from([SIGNALR, ANY_SIGNALR]),
        "target": st.sampled_from([SITE, ANY_SITE]),
    },
    optional={
        "slots": st.sampled_from([["production"], ["staging", "production"]]),
        "request_message": st.sampled_from(["", "please approve", {"signed": True}]),
        "endpoint_subscriptions": st.sampled_from([[], [SUBSCRIPTION]]),
        "endpoint_name": st.sampled_from(["{link}", "{signalr}-*"]),
        "accept_exposure_change": st.booleans(),
        "expires": st.just("2027-06-30"),
        "owner": st.just("team-chat"),
        "on_removal": st.sampled_from(["report", "revoke"]),
    },
)
"""Each value right in itself: what is wrong with them is only what they say together."""

_HEAD = {"version": st.sampled_from([1, 1, 1, 1, 2, "1", None]), "paused": st.sampled_from([True, False, False, "yes"])}
json_documents_without_defaults: st.SearchStrategy[dict[str, object]] = _mapping(
    {**_HEAD, "rules": st.lists(_RULES | _SOUND_RULES, max_size=2)}, required=("version", "rules")
) | st.fixed_dictionaries({"version": st.just(1), "rules": st.lists(_SOUND_RULES, max_size=1)})
json_documents: st.SearchStrategy[dict[str, object]] = json_documents_without_defaults | st.builds(
    lambda document, defaults: {**document, "defaults": defaults}, json_documents_without_defaults, _mapping(_OPTIONS)
)


def as_yaml(document: object) -> str:
    """JSON is YAML."""
    return json.dumps(document)
