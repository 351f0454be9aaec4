"""One look: links first, then the connections, then the site if one is pending."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.allowlist_document import parse_allowlist
from shared.core.errors import AzureNotFoundError, AzureUnavailableError
from shared.core.history import History
from shared.core.model import ConnectionStatus, LinkStatus
from shared.services.look import Scope, look
from shared.services.snapshot import Snapshots
from tests.core.cases import a_history, an_approval
from tests.engines import Interposed, When, a_rule, allowlist_text
from tests.fakes import FakeAzure, FakeClock, MemoryStateStore
from tests.fakes.azure import SUBSCRIPTION, Operation

if TYPE_CHECKING:
    from shared.core.arm_id import ArmId
    from shared.core.observation import Observation

OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-0000000000b2"


@dataclass
class View:
    """What there is, and which calls a look at it makes."""

    calls: list[str] = field(default_factory=list)
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.azure = FakeAzure(self.clock)
        self.service = self.azure.add_signalr()
        self.target = self.azure.add_site()
        self.rules = [a_rule(self.service, self.target)]
        self.allowed = True
        self.vanishing = False
        """Whether the site is deleted between the reads."""
        self.taken = Snapshots(self.azure, MemoryStateStore())

    async def __call__(self, call: str, when: When) -> None:
        if when == "before":
            self.calls.append(call.removeprefix("azure."))
            if self.vanishing and call == "azure.get_site":
                self.azure.sites.clear()
        self.clock.advance(1)

    async def look(self, *, max_age: float = 3600, via: tuple[ArmId, ...] = ()) -> Observation:
        age = timedelta(seconds=max_age)
        scope = Scope(
            target=self.target,
            allowlist=parse_allowlist(allowlist_text(*self.rules), "memory") if self.allowed else None,
            snapshot=await self.taken.recall((SUBSCRIPTION,), self.clock.now(), age),
            history=self.history,
            subscriptions=(SUBSCRIPTION.upper(),),
            via=via,
        )
        self.calls.clear()
        return await look(Interposed(self.azure, "azure", self), scope)


@pytest.fixture
def view() -> View:
    return View()


async def test_links_are_read_before_connections(view: View) -> None:
    """A connection that is there was there after its link was: the other way round a new link's could be taken for it."""
    view.azure.add_pair(view.service, view.target)
    seen = await view.look()
    assert view.calls == ["get_signalr", "list_connections", "get_site"]
    assert seen.links_started <= seen.started < seen.connections_finished == seen.clock
    assert seen.read_at[view.service] == seen.started


async def test_the_site_is_asked_only_where_something_is_pending(view: View) -> None:
    """Its exposure and tier matter to an approval alone."""
    view.azure.add_pair(view.service, view.target)
    (connection,) = view.azure.connections
    view.azure.set_status(connection, ConnectionStatus.APPROVED)
    seen = await view.look()
    assert (view.calls, seen.site) == (["get_signalr", "list_connections"], None)


async def test_a_site_that_has_connections_and_does_not_exist_is_an_error(view: View) -> None:
    """What it would be taken for is a guess."""
    view.azure.add_pair(view.service, view.target)
    view.vanishing = True
    with pytest.raises(AzureNotFoundError):
        await view.look()


async def test_a_target_that_does_not_exist_has_no_connections(view: View) -> None:
    """And says so."""
    del view.azure.sites[view.target]
    seen = await view.look()
    assert (seen.exists, seen.connections) == (False, ())


async def test_links_of_allowlisted_services_are_read_now(view: View) -> None:
    """Those of others are the snapshot's."""
    other = view.azure.add_signalr("other")
    ours, theirs = view.azure.add_link(view.service, view.target), view.azure.add_link(other, view.target)
    await view.look()
    for link in (ours, theirs):
        view.azure.set_link(link, status=LinkStatus.APPROVED)
    seen = await view.look()
    assert {link.id: link.status for link in seen.links} == {ours: LinkStatus.APPROVED, theirs: LinkStatus.PENDING}
    assert seen.tiers == {view.service: "Standard", other: "Standard"}
    assert set(seen.read_at) == {view.service}


async def test_a_service_that_is_gone_has_no_links(view: View) -> None:
    """Whatever the snapshot says."""
    view.azure.add_link(view.service, view.target)
    await view.look()
    del view.azure.services[view.service]
    assert (await view.look()).links == ()


async def test_a_link_elsewhere_is_not_the_targets(view: View) -> None:
    """Neither one to another site nor one to a slot of this one."""
    view.azure.add_link(view.service, view.azure.add_site("other"), "a")
    view.azure.add_link(view.service, view.azure.add_site(slot="staging"), "b")
    assert (await view.look()).links == ()


async def test_a_rule_with_a_wildcard_reads_the_services_that_lead_here(view: View) -> None:
    """By the snapshot, or by what somebody heard."""
    view.rules = [a_rule(view.service.sibling("*"), view.target)]
    unknown = view.azure.add_signalr("new")
    view.azure.add_link(view.service, view.target)
    await view.look()
    new = view.azure.add_link(unknown, view.target, "new-pe")
    assert new not in {link.id for link in (await view.look()).links}
    assert new in {link.id for link in (await view.look(via=(unknown,))).links}
    assert view.calls.count("get_signalr") == 2


async def test_what_somebody_heard_of_a_service_that_nobody_allows_costs_no_call(view: View) -> None:
    """Or an event could make us read anything."""
    stranger = view.azure.add_signalr("stranger")
    await view.look(via=(stranger,))
    assert view.calls == ["get_signalr", "list_connections"]


async def test_the_service_of_an_open_approval_is_read_though_no_rule_names_it(view: View) -> None:
    """It has to be confirmed."""
    link = view.azure.links[view.azure.add_link(view.service, view.target)]
    connection = view.azure.connections[view.azure.add_connection(view.target)]
    view.history = a_history(an_approval(connection, link))
    view.rules, view.allowed = [], False
    await view.look()
    assert "get_signalr" in view.calls


async def test_a_service_outside_the_scanned_subscriptions_is_not_read(view: View) -> None:
    """Though a rule names it: its subscription's other links are not known."""
    outside = view.azure.add_signalr(subscription=OTHER_SUBSCRIPTION)
    view.azure.add_link(outside, view.target)
    view.rules = [a_rule(outside, view.target)]
    seen = await view.look()
    assert (view.calls, seen.links) == (["list_connections"], ())


@pytest.mark.parametrize("operation", ["get_signalr", "list_connections", "get_site"])
async def test_half_a_look_is_none(view: View, operation: Operation) -> None:
    """Whatever could not be read might be a rival."""
    view.azure.add_pair(view.service, view.target)
    view.azure.fail(operation, AzureUnavailableError("timeout"))
    with pytest.raises(AzureUnavailableError):
        await view.look()


async def test_a_look_is_as_old_as_the_oldest_thing_in_it(view: View) -> None:
    """The snapshot included."""
    await view.look()
    began = view.clock.now()
    view.clock.advance(500)
    seen = await view.look()
    assert seen.links_started < began < seen.started
