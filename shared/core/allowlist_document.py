"""From the allowlist's YAML to its rules: strict, and every mistake at once, each with its place and what to do.

The format for people is in docs/allowlist.md, its JSON Schema in docs/schemas/allowlist.schema.json.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shared.core.allowlist import DEFAULT_ENDPOINT_NAME, Allowlist, Effect, OnRemoval, Rule
from shared.core.allowlist_values import SIGNED, Message, TooManyProblemsError, ValueReader, kind_of, suggestion
from shared.core.arm_id import fold_case
from shared.core.endpoint_name import has_link
from shared.core.errors import AllowlistError
from shared.core.model import PRODUCTION, SIGNALR_TYPE, SITE_TYPE
from shared.core.problem import Problem
from shared.core.yaml_tree import Kind, Mapping, Node, Scalar, Sequence, read_tree, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERSION: Final = "1"

_DOCUMENT_KEYS: Final = ("version", "paused", "defaults", "rules")
_NAMING_KEYS: Final = ("id", "effect", "signalr", "target")
"""What every rule says itself."""
_PLAIN_KEYS: Final = ("slots", "expires", "owner", "ticket")
"""What any rule may say too."""
_ALLOW_KEYS: Final = ("request_message", "endpoint_subscriptions", "endpoint_name", "accept_exposure_change", "on_removal")
"""What means something in an allow rule alone."""
_OPTIONAL_KEYS: Final = (*_PLAIN_KEYS, *_ALLOW_KEYS)
_RULE_KEYS: Final = (*_NAMING_KEYS, *_OPTIONAL_KEYS)
_DEFAULTS_FOR_DENY: Final = ("slots", "owner", "ticket")
"""The defaults that a deny rule takes. Not ``expires``: a denial ends only where its own rule says so."""


def parse_allowlist(text: str, source: str) -> Allowlist:
    """Read the document ``text``, which came from ``source`` (a path, or a URL without its query).

    The digest is that of ``text`` in UTF-8: whoever reads a file hands over its text with the line ends as they are, so
    that it is the file's own.

    Raises:
        AllowlistError: where anything at all is wrong, with every problem (up to a thousand), sorted by place.

    """
    return _parsed(text, source)


# The document is looked at again before every write to Azure, and changes rarely.
@lru_cache(maxsize=4)
def _parsed(text: str, source: str) -> Allowlist:
    tree, problems = read_tree(text)
    if tree is None:
        nothing = Problem(1, 1, "the document is empty: write version: 1 and rules: []")
        raise AllowlistError(source, problems or (nothing,))
    values = ValueReader(problems)
    try:
        paused, rules = _DocumentReader(values).document(tree)
    except TooManyProblemsError:
        paused, rules = True, ()
    if values.problems:
        raise AllowlistError(source, sorted(set(values.problems)))
    return Allowlist(source=source, digest=hashlib.sha256(text.encode()).hexdigest(), paused=paused, rules=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What a rule, or the defaults, say beyond naming; None where they say nothing, or nothing valid."""

    node: Mapping | None = None
    wrong: frozenset[str] = frozenset()
    """The keys whose values are not valid."""
    slots: tuple[str, ...] | None = None
    expires: date | None = None
    owner: str | None = None
    ticket: str | None = None
    request_message: Message | None = None
    endpoint_subscriptions: tuple[str, ...] | None = None
    endpoint_name: str | None = None
    accept_exposure_change: bool | None = None
    on_removal: OnRemoval | None = None

    def filled(self, defaults: _Options, keys: Iterable[str]) -> _Options:
        """These, and those of ``keys`` that are left out from ``defaults``."""
        missing = [key for key in keys if self.node is None or key not in self.node.entries]
        wrong = self.wrong | defaults.wrong.intersection(missing)
        return replace(self, wrong=wrong, **{key: getattr(defaults, key) for key in missing})


class _DocumentReader:
    """Reads the document from the top down; its problems are those of its values and of what they say together."""

    def __init__(self, values: ValueReader) -> None:
        self._values = values
        self._ids: dict[str, Scalar] = {}
        self._defaults = _Options()

    def document(self, tree: Node) -> tuple[bool, tuple[Rule, ...]]:
        """Whether everything is paused, and the rules. Worth something only where no problem was found."""
        if not isinstance(tree, Mapping):
            self._values.report(tree, f"the document is {kind_of(tree)}: write a mapping with the keys version and rules")
            return True, ()
        self._keys(tree, "the document", known=_DOCUMENT_KEYS, required=("version", "rules"))
        _read(tree, "version", self._version)
        paused = _read(tree, "paused", self._values.truth)
        self._defaults = _read(tree, "defaults", self._read_defaults) or _Options()
        rules = _read(tree, "rules", self._rules) or ()
        return bool(paused), rules

    def _keys(self, node: Mapping, what: str, *, known: tuple[str, ...], required: tuple[str, ...]) -> None:
        for key, entry in node.entries.items():
            if key in _NAMING_KEYS and key not in known:
                self._values.report(entry.key, f"{key} belongs in each rule: take it out here")
            elif key not in known:
                advice = suggestion(key, known) or f"take it out; there are {', '.join(known)}"
                self._values.report(entry.key, f"{what} has no key {shown(key)}: {advice}")
        for key in required:
            if key not in node.entries:
                self._values.report(node, f"{what} has no {key}: add it")

    def _version(self, node: Node) -> None:
        if not (isinstance(node, Scalar) and node.kind is Kind.NUMBER and node.text == VERSION):
            self._values.report(node, f"this is not a version that this Linkguard reads: write version: {VERSION}")

    def _read_defaults(self, node: Node) -> _Options | None:
        if not isinstance(node, Mapping):
            self._values.report(node, f"defaults is {kind_of(node)}: write a mapping, or leave it out")
            return None
        self._keys(node, "defaults", known=_OPTIONAL_KEYS, required=())
        return self._options(node)

    def _rules(self, node: Node) -> tuple[Rule, ...]:
        if not isinstance(node, Sequence):
            self._values.report(node, f"rules is {kind_of(node)}: write a list of rules, [] for none")
            return ()
        return tuple(rule for rule in map(self._rule, node.items) if rule)

    def _rule(self, node: Node) -> Rule | None:
        if not isinstance(node, Mapping):
            self._values.report(node, f"this rule is {kind_of(node)}: write a mapping with {', '.join(_NAMING_KEYS)}")
            return None
        self._keys(node, "the rule", known=_RULE_KEYS, required=_NAMING_KEYS)
        rule_id = _read(node, "id", self._rule_id)
        effect = _read(node, "effect", lambda value: self._values.choice(value, Effect))
        signalr = _read(node, "signalr", lambda value: self._values.pattern(value, SIGNALR_TYPE))
        target = _read(node, "target", lambda value: self._values.pattern(value, SITE_TYPE))
        options = self._options(node)
        if effect is Effect.DENY:
            self._check_deny(node)
            options = options.filled(self._defaults, _DEFAULTS_FOR_DENY)
        else:
            options = options.filled(self._defaults, _OPTIONAL_KEYS)
        if effect is Effect.ALLOW:
            self._check_allow(node, options, any_target=target is not None and target.is_wildcard)
        if rule_id is None or effect is None or signalr is None or target is None:
            return None
        named = Rule(id=rule_id, effect=effect, signalr=signalr, target=target, line=node.line, text=node.source)
        return _with_options(named, options)

    def _rule_id(self, node: Node) -> str | None:
        rule_id = self._values.rule_id(node)
        if rule_id is None or not isinstance(node, Scalar):
            return None
        first = self._ids.setdefault(fold_case(rule_id), node)
        if first is not node:
            said = f"{shown(rule_id)} is the id of the rule in line {first.line} too (case does not count): choose another"
            self._values.report(node, said)
        return rule_id

    def _options(self, node: Mapping) -> _Options:
        values = self._values
        options = _Options(
            node=node,
            slots=_read(node, "slots", values.slots),
            expires=_read(node, "expires", values.day),
            owner=_read(node, "owner", values.note),
            ticket=_read(node, "ticket", values.note),
            request_message=_read(node, "request_message", values.message),
            endpoint_subscriptions=_read(node, "endpoint_subscriptions", values.subscriptions),
            endpoint_name=_read(node, "endpoint_name", values.template),
            accept_exposure_change=_read(node, "accept_exposure_change", values.truth),
            on_removal=_read(node, "on_removal", lambda value: values.choice(value, OnRemoval)),
        )
        return replace(options, wrong=frozenset(k for k in _OPTIONAL_KEYS if k in node.entries and getattr(options, k) is None))

    def _check_deny(self, node: Mapping) -> None:
        for key in _ALLOW_KEYS:
            if key in node.entries:
                message = f"{key} means nothing in a deny rule, which denies whatever the evidence: take it out"
                self._values.report(node.entries[key].key, message)

    def _check_allow(self, node: Mapping, options: _Options, *, any_target: bool) -> None:
        """What the keys of an allow rule, defaults included, may not say together."""
        strong = options.request_message is SIGNED or options.endpoint_subscriptions
        unknown = options.wrong & {"request_message", "endpoint_subscriptions"}
        if options.endpoint_name and not (has_link(options.endpoint_name) or strong or unknown):
            self._report_option(
                node,
                "endpoint_name",
                f"{shown(options.endpoint_name)} has no {{link}}, so the name tells no link from another: add {{link}}, "
                "request_message: {signed: true}, or endpoint_subscriptions",
            )
        if any_target and options.accept_exposure_change:
            self._report_option(
                node,
                "accept_exposure_change",
                "accept_exposure_change goes with no target *, since it may take sites that nobody named off the public "
                "internet: name the target, or write accept_exposure_change: false in the rule",
            )
        if any_target and options.on_removal is OnRemoval.REVOKE:
            self._report_option(
                node,
                "on_removal",
                "on_removal: revoke goes with no target *, since one edit would cut off sites that nobody named: name the "
                "target, or write on_removal: report in the rule",
            )

    def _report_option(self, rule: Mapping, key: str, message: str) -> None:
        """At the rule's own key, else at the rule, with the line of the default that it takes."""
        if key in rule.entries:
            self._values.report(rule.entries[key].value, message)
        elif self._defaults.node is not None:
            line = self._defaults.node.entries[key].key.line
            self._values.report(rule, f"{message} (from defaults, line {line})")


def _read[T](node: Mapping, key: str, read: Callable[[Node], T | None]) -> T | None:
    entry = node.entries.get(key)
    return None if entry is None else read(entry.value)


def _with_options(rule: Rule, options: _Options) -> Rule:
    message = options.request_message
    return replace(
        rule,
        slots=options.slots or (PRODUCTION,),
        request_message=message.text if message else None,
        signed=message is SIGNED,
        endpoint_subscriptions=options.endpoint_subscriptions or (),
        endpoint_name=options.endpoint_name or DEFAULT_ENDPOINT_NAME,
        accept_exposure_change=bool(options.accept_exposure_change),
        expires=options.expires,
        owner=options.owner or "",
        ticket=options.ticket or "",
        on_removal=options.on_removal or OnRemoval.REPORT,
    )
