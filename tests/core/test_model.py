"""What Azure has, parsed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import InvalidIdError
from shared.core.model import ConnectionStatus, LinkProvisioning, LinkStatus, Target
from tests.core.cases import SERVICE, TARGET, a_connection, a_link, endpoint_id, site_id

STATES = [LinkStatus, LinkProvisioning, ConnectionStatus]
STAGING = Target.of(site_id(), "staging")


@pytest.mark.parametrize("kind", STATES)
def test_a_state_is_read_whatever_its_case(kind: type[LinkStatus]) -> None:
    """As Azure spells it today, or will tomorrow."""
    for state in kind:
        for text in (state.value, state.value.upper(), state.value.lower()):
            assert kind.read(text) is state


@pytest.mark.parametrize("kind", STATES)
@given(text=st.none() | st.text())
def test_a_state_that_nobody_knows_reads_as_unknown(kind: type[LinkStatus], text: str | None) -> None:
    """Never as one that is acted on, and never as an error."""
    known = {state.value.upper() for state in kind}
    assert (kind.read(text).value == "Unknown") is ((text or "").upper() not in known - {"UNKNOWN"})


def test_a_site_is_its_own_production_slot() -> None:
    """Whatever the case of the word."""
    for slot in (None, "production", "Production"):
        assert Target.of(site_id(), slot) == TARGET
    assert (TARGET.slot, TARGET.site, TARGET.group_id) == (None, site_id(), "sites")


def test_a_slot_is_a_target_of_its_own() -> None:
    """With a private link group of its own."""
    assert STAGING != TARGET
    assert (STAGING.slot, STAGING.site, STAGING.group_id) == ("staging", site_id(), "sites-staging")


@pytest.mark.parametrize("id_", [SERVICE, a_connection().id, a_link().id])
def test_nothing_else_is_a_target(id_: object) -> None:
    """Neither a service nor what lies below a site."""
    with pytest.raises(InvalidIdError):
        Target(id_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resource", "group", "target"),
    [
        (str(site_id()), "sites", TARGET),
        (str(site_id()).upper(), "SITES", TARGET),
        (str(site_id()), "sites-staging", STAGING),
        (str(site_id()), "Sites-STAGING", STAGING),
        (str(STAGING), "sites-staging", STAGING),
        (str(site_id()), "sites-a-b", Target.of(site_id(), "a-b")),
        # As people paste it, and as ARM takes it: another service's link is none the less a rival.
        (f"{site_id()}/", "sites", TARGET),
        # A group that does not fit what it is a group of.
        (str(STAGING), "sites", None),
        (str(STAGING), "sites-other", None),
        (str(site_id()), "sites-production", None),
        (str(site_id()), "", None),
        (str(site_id()), "sites-", None),
        (str(site_id()), "vault", None),
        (str(site_id()), "sites staging", None),
        # No site at all.
        (str(site_id()).replace("Microsoft.Web/sites", "Microsoft.KeyVault/vaults"), "vault", None),
        (str(site_id()).replace("Microsoft.Web/sites", "Microsoft.KeyVault/vaults"), "sites", None),
        (str(SERVICE), "sites", None),
        ("", "sites", None),
        ("junk", "sites", None),
        (f"{site_id()}//", "sites", None),
    ],
)
def test_a_link_leads_to_the_target_that_its_resource_and_group_name_together(
    resource: str, group: str, target: Target | None
) -> None:
    """Where the two do not fit it leads nowhere: it explains no connection."""
    assert replace(a_link(), resource_id=resource, group_id=group).target == target


def test_a_link_knows_its_service() -> None:
    """And its own name."""
    assert (a_link().signalr, a_link().name) == (SERVICE, "func-pe")


def test_a_connection_knows_its_target_and_its_endpoint() -> None:
    """Of a site and of a slot."""
    assert a_connection().target == TARGET
    assert a_connection(target=STAGING).target == STAGING
    endpoint = a_connection().endpoint
    assert endpoint is not None
    assert str(endpoint) == endpoint_id("func-pe")
    assert a_connection(None).endpoint is None
    assert replace(a_connection(), endpoint_id="junk").endpoint is None
