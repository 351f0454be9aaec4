"""What the allowlist's rules match."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.allowlist import Allowlist, Effect, IdPattern, Rule
from shared.core.arm_id import ArmId
from shared.core.model import Target
from tests.core.allowlist_documents import ANY_SIGNALR, ANY_SITE, GROUP, SIGNALR, SITE, SUBSCRIPTION

SERVICE = ArmId.parse(SIGNALR)
PRODUCTION = Target(ArmId.parse(SITE))
STAGING = Target(ArmId.parse(f"{SITE}/slots/staging"))


def rule(
    rule_id: str = "a",
    *,
    signalr: str = SIGNALR,
    target: str = SITE,
    slots: tuple[str, ...] = ("production",),
    expires: date | None = None,
) -> Rule:
    return Rule(
        id=rule_id,
        effect=Effect.ALLOW,
        signalr=IdPattern(ArmId.parse(signalr)),
        target=IdPattern(ArmId.parse(target)),
        slots=slots,
        expires=expires,
    )


def denial(allow: Rule) -> Rule:
    return replace(allow, effect=Effect.DENY)


def allowlist(*rules: Rule) -> Allowlist:
    return Allowlist(source="allowlist.yaml", digest="", paused=False, rules=rules)


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        (SITE, SITE, True),
        (SITE, SITE.upper(), True),
        (SITE.lower(), SITE, True),
        (SITE, f"{SITE}2", False),
        (SITE, SITE[:-1], False),
        (SITE, ANY_SITE, False),
        (ANY_SITE, SITE, True),
        (ANY_SITE, SITE.upper(), True),
        (ANY_SITE.replace("/contoso/", "/CONTOSO/"), SITE, True),
        (ANY_SITE, SIGNALR, False),
        (ANY_SITE, f"{SITE}/slots/staging", False),
        (ANY_SITE, SITE.replace("/contoso/", "/contoso2/"), False),
        (ANY_SITE, SITE.replace("00000000a", "00000000b"), False),
        (ANY_SITE, f"{GROUP}/Microsoft.Web/serverfarms/contoso-func", False),
        (ANY_SIGNALR, SIGNALR, True),
        (ANY_SIGNALR, f"{GROUP}/Microsoft.SignalRService/webPubSub/contoso-signalr", False),
    ],
)
def test_a_pattern_stands_for_one_resource_or_for_a_groups_resources_of_one_type(
    pattern: str, resource: str, *, expected: bool
) -> None:
    """Whatever the case; ``*`` neither leaves the resource group nor reaches down."""
    assert IdPattern(ArmId.parse(pattern)).matches(ArmId.parse(resource)) is expected


@pytest.mark.parametrize(
    ("slots", "target", "expected"),
    [
        (("production",), PRODUCTION, True),
        (("PRODUCTION",), PRODUCTION, True),
        (("production",), STAGING, False),
        (("staging",), STAGING, True),
        (("Staging",), STAGING, True),
        (("staging",), PRODUCTION, False),
        (("staging", "production"), PRODUCTION, True),
        (("staging", "production"), STAGING, True),
        (("stag",), STAGING, False),
    ],
)
@pytest.mark.parametrize("pattern", [SITE, ANY_SITE])
def test_a_rule_is_about_the_slots_that_it_lists(pattern: str, slots: tuple[str, ...], target: Target, *, expected: bool) -> None:
    """The site itself is the slot ``production``; a target ``*`` adds no slot."""
    assert rule(target=pattern, slots=slots).names_target(target) is expected
    assert rule(target=pattern, slots=slots).names(SERVICE, target) is expected


def test_a_rule_names_a_pair() -> None:
    """The service alone, or the target alone, is not enough."""
    found = rule()
    assert found.names(SERVICE, PRODUCTION)
    assert not found.names(SERVICE.sibling("other"), PRODUCTION)
    assert not found.names(SERVICE, Target(PRODUCTION.id.sibling("other")))


def test_the_most_specific_rule_comes_first() -> None:
    """An exact target before ``*``; then an exact service before ``*``; else the document's order."""
    rules = (
        rule("any-any", signalr=ANY_SIGNALR, target=ANY_SITE),
        rule("any-target", target=ANY_SITE),
        rule("any-service", signalr=ANY_SIGNALR),
        rule("exact"),
        rule("exact-too"),
        rule("other", target=f"{SITE}2"),
    )
    found = allowlist(*rules).about(SERVICE, PRODUCTION)
    assert [each.id for each in found] == ["exact", "exact-too", "any-service", "any-target", "any-any"]
    specificities = [each.specificity for each in found]
    assert specificities == sorted(specificities, reverse=True)
    assert len(set(specificities)) == 4


def test_denials_and_expired_rules_are_told_of_too() -> None:
    """Whoever decides needs them all: to deny, and to say why nothing allows."""
    rules = (denial(rule("deny", signalr=ANY_SIGNALR)), rule("old", expires=date(2020, 1, 1)))
    assert {each.id for each in allowlist(*rules).about(SERVICE, PRODUCTION)} == {"deny", "old"}
    assert allowlist(*rules).about(SERVICE, STAGING) == ()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2027, 6, 29, 12, tzinfo=UTC), False),
        (datetime(2027, 6, 30, 0, 0, tzinfo=UTC), False),
        (datetime(2027, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC), False),
        (datetime(2027, 7, 1, 0, 0, tzinfo=UTC), True),
        (datetime(2027, 7, 1, 1, 59, tzinfo=timezone(timedelta(hours=2))), False),
        (datetime(2027, 7, 1, 2, 0, tzinfo=timezone(timedelta(hours=2))), True),
        (datetime(2027, 6, 30, 19, 0, tzinfo=timezone(-timedelta(hours=5))), True),
    ],
)
def test_a_rule_holds_to_the_end_of_its_last_day_in_utc(now: datetime, *, expected: bool) -> None:
    """Wherever the clock is."""
    assert rule(expires=date(2027, 6, 30)).expired(now) is expected


def test_a_rule_without_a_last_day_does_not_expire() -> None:
    """And one whose last day is the calendar's last neither."""
    latest = datetime.max.replace(tzinfo=UTC)
    assert not rule().expired(latest)
    assert not rule(expires=date.max).expired(latest)


def test_the_evidence_is_strong_with_a_signature_or_pins() -> None:
    """A name and a message can be copied by any requester."""
    exact = IdPattern(SERVICE)
    weak = Rule(id="a", effect=Effect.ALLOW, signalr=exact, target=IdPattern(PRODUCTION.id), request_message="x" * 140)
    signed = Rule(id="b", effect=Effect.ALLOW, signalr=exact, target=IdPattern(PRODUCTION.id), signed=True)
    pinned = Rule(
        id="c", effect=Effect.ALLOW, signalr=exact, target=IdPattern(PRODUCTION.id), endpoint_subscriptions=(SUBSCRIPTION,)
    )
    assert [each.is_strong for each in (weak, signed, pinned)] == [False, True, True]


def test_a_service_is_known_by_an_allow_rule() -> None:
    """Expired or not, by name or by ``*``; a denial alone makes nobody look at its links."""
    assert allowlist(rule(expires=date(2020, 1, 1))).knows_service(SERVICE)
    assert allowlist(rule(signalr=ANY_SIGNALR)).knows_service(SERVICE.sibling("other"))
    assert not allowlist(denial(rule())).knows_service(SERVICE)
    assert not allowlist(rule()).knows_service(SERVICE.sibling("other"))
    assert not allowlist().knows_service(SERVICE)


def test_the_named_targets_are_those_that_allow_rules_name_in_full() -> None:
    """Each listed slot; none of ``*``, none of a denial."""
    other = f"{SITE}2"
    found = allowlist(
        rule("a", slots=("Production", "staging")),
        rule("b", target=ANY_SITE),
        denial(rule("c", target=other)),
        rule("d", target=SITE.upper()),
    ).named_targets()
    assert found == {PRODUCTION, STAGING}


cases = st.tuples(st.booleans(), st.booleans(), st.booleans())


@given(st.lists(cases, max_size=6), cases)
def test_about_is_just_the_rules_that_name_both(rules: list[tuple[bool, bool, bool]], pair: tuple[bool, bool, bool]) -> None:
    """None added, none lost, whatever their order."""

    def made(number: int, case: tuple[bool, bool, bool]) -> Rule:
        any_service, any_target, staging = case
        return rule(
            str(number),
            signalr=ANY_SIGNALR if any_service else SIGNALR,
            target=ANY_SITE if any_target else SITE,
            slots=("staging",) if staging else ("production",),
        )

    other_service, other_target, staging = pair
    service = SERVICE.sibling("other") if other_service else SERVICE
    site = PRODUCTION.id.sibling("other") if other_target else PRODUCTION.id
    target = Target.of(site, "staging" if staging else None)
    expected = {
        str(number)
        for number, (any_service, any_target, in_staging) in enumerate(rules)
        if (any_service or not other_service) and (any_target or not other_target) and in_staging == staging
    }
    found = allowlist(*(made(number, case) for number, case in enumerate(rules))).about(service, target)
    assert {each.id for each in found} == expected
    assert len(found) == len(expected)
