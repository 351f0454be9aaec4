"""How links and connections live, by the clock."""

from __future__ import annotations

from contextlib import suppress
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.local_azure import Knobs, ManualClock, World
from shared.local_azure.arm_error import ArmError


class Scene:
    """A service, a site, and a clock that moves when told to."""

    def __init__(self, **knobs: float) -> None:
        self.clock = ManualClock()
        self.knobs = Knobs()
        for name, seconds in knobs.items():
            setattr(self.knobs, name, seconds)
        self.world = World(clock=self.clock, knobs=self.knobs)
        self.service = self.world.add_signalr()
        self.site = self.world.add_site()

    def link(self, name: str = "func-pe") -> tuple[str, str]:
        """A new link and its connection."""
        link = self.world.put_link(self.service, name, self.site)
        return link, self.world.connections_of(link)[0]


def test_a_link_succeeds_while_its_status_is_still_pending() -> None:
    """ProvisioningState and status are two things: Creating, then Succeeded; Pending all along."""
    scene = Scene(link_provisioning=90)
    link, _ = scene.link()
    assert scene.world.link_status(link) == ("Pending", "Creating")
    scene.clock.advance(90)
    assert scene.world.link_status(link) == ("Pending", "Succeeded")


@pytest.mark.parametrize("connection_delay", [10, 300])
def test_a_connection_comes_before_or_after_its_link_succeeded(connection_delay: float) -> None:
    """Its delay is its own; it cannot be read before."""
    scene = Scene(link_provisioning=90, connection_delay=connection_delay)
    _, connection = scene.link()
    scene.clock.advance(connection_delay - 1)
    assert scene.world.connection_status(connection) is None
    scene.clock.advance(1)
    assert scene.world.connection_status(connection) == "Pending"


def test_an_approval_takes_its_time_and_the_link_follows_later() -> None:
    """Pending, Approving, Approved; and only after the lag the link says Approved."""
    scene = Scene(approving=50, link_status_lag=120)
    link, connection = scene.link()
    scene.world.approve(connection)
    assert scene.world.connection_status(connection) == "Approving"
    scene.clock.advance(50)
    assert scene.world.connection_status(connection) == "Approved"
    scene.clock.advance(119)
    assert scene.world.link_status(link) == ("Pending", "Succeeded")
    scene.clock.advance(1)
    assert scene.world.link_status(link) == ("Approved", "Succeeded")


def test_a_link_may_never_hear_of_it() -> None:
    """An infinite lag: the link stays Pending for ever."""
    scene = Scene(link_status_lag=inf)
    link, connection = scene.link()
    scene.world.approve(connection)
    scene.clock.advance(10**8)
    assert scene.world.link_status(link) == ("Pending", "Succeeded")


def test_a_lagging_link_says_what_its_connection_was() -> None:
    """Approved and then rejected: the link goes through both, as late as each."""
    scene = Scene(link_status_lag=100)
    link, connection = scene.link()
    scene.world.approve(connection)
    scene.clock.advance(60)
    scene.world.reject(connection)
    scene.clock.advance(40)
    assert scene.world.link_status(link) == ("Approved", "Succeeded")
    scene.clock.advance(60)
    assert scene.world.link_status(link) == ("Rejected", "Succeeded")


def test_an_approval_undone_before_it_was_done_never_reaches_the_link() -> None:
    """Deleted while Approving: the link says Disconnected, and never Approved."""
    scene = Scene(approving=50, link_status_lag=100)
    link, connection = scene.link()
    scene.world.approve(connection)
    scene.clock.advance(10)
    scene.world.delete_connection(connection)
    said = set()
    for _ in range(40):
        scene.clock.advance(10)
        status = scene.world.link_status(link)
        assert status is not None
        said.add(status[0])
    assert said == {"Pending", "Disconnected"}


def test_the_link_does_not_follow_a_strangers_connection() -> None:
    """Approving an impostor with the same name and message leaves the link Pending, and is known to be wrong."""
    scene = Scene()
    link, _ = scene.link()
    impostor = scene.world.request_connection(scene.site, "func-pe", "please approve")
    scene.world.approve(impostor)
    assert scene.world.link_status(link) == ("Pending", "Succeeded")
    assert scene.world.genuine(impostor) is None
    assert [approval.link for approval in scene.world.approvals] == [None]


def test_a_deleted_links_connection_is_disconnected_and_then_gone() -> None:
    """It is still listed as Disconnected for a while."""
    scene = Scene(disconnect_delay=10, disconnecting=10, disconnected_listed=60, link_deleting=30)
    link, connection = scene.link()
    scene.world.delete_link(link)
    assert scene.world.link_status(link) == ("Pending", "Deleting")
    seen = []
    for _ in range(9):
        seen.append(scene.world.connection_status(connection))
        scene.clock.advance(10)
    assert seen == ["Pending", "Disconnecting", *["Disconnected"] * 6, None]
    assert scene.world.link_status(link) is None
    assert scene.world.genuine(connection) == link


def test_a_connection_can_be_approved_after_its_link_was_deleted() -> None:
    """Until it hears of that; then it is disconnected all the same."""
    scene = Scene(disconnect_delay=10, disconnected_listed=60)
    link, connection = scene.link()
    scene.world.delete_link(link)
    scene.clock.advance(5)
    scene.world.approve(connection)
    assert scene.world.connection_status(connection) == "Approved"
    scene.clock.advance(5)
    assert scene.world.connection_status(connection) == "Disconnected"
    scene.clock.advance(60)
    assert scene.world.connection_status(connection) is None


def test_deleting_what_is_disconnected_removes_it() -> None:
    """It does not begin to disconnect anew."""
    scene = Scene(disconnecting=5, disconnected_listed=600)
    _, connection = scene.link()
    scene.world.withdraw_connection(connection)
    scene.clock.advance(5)
    assert scene.world.connection_status(connection) == "Disconnected"
    scene.world.delete_connection(connection)
    assert scene.world.connection_status(connection) is None


def test_a_link_deleted_before_its_connection_came_never_opens_one() -> None:
    """What was only planned is off."""
    scene = Scene(connection_delay=60)
    link, connection = scene.link()
    scene.world.delete_link(link)
    scene.clock.advance(600)
    assert scene.world.connection_status(connection) is None


def test_a_link_made_anew_is_another_incarnation() -> None:
    """The same id, another time of creation, another connection; the old one's owner is not forgotten."""
    scene = Scene(disconnected_listed=600)
    link, old = scene.link()
    born = scene.world.link(link).born
    scene.world.delete_link(link)
    scene.clock.advance(60)
    again, new = scene.link()
    assert again == link
    assert new != old
    assert scene.world.link(link).born > born
    assert (scene.world.connection_status(old), scene.world.connection_status(new)) == ("Disconnected", "Pending")


def test_a_put_on_an_existing_link_changes_its_message_alone() -> None:
    """No second connection; another target is refused."""
    scene = Scene()
    link, _ = scene.link()
    scene.world.put_link(scene.service, "FUNC-PE", scene.site, "new words")
    assert scene.world.link(link).message == "new words"
    assert len(scene.world.connections_of(link)) == 1
    other = scene.world.add_site("other")
    with pytest.raises(ArmError) as refused:
        scene.world.put_link(scene.service, "func-pe", other)
    assert refused.value.status == 400


def test_each_replica_opens_a_connection_of_its_own() -> None:
    """All are the link's; its status follows the first, the service's own."""
    world = World(clock=ManualClock(), knobs=Knobs(endpoint_name="{signalr}{replica}-{link}"))
    service = world.add_signalr(replicas=["westus", "japaneast"])
    link = world.put_link(service, "func-pe", world.add_site())
    connections = world.connections_of(link)
    assert len(connections) == 3
    assert {world.genuine(connection) for connection in connections} == {link}
    assert world.connection(connections[1]).endpoint.name == "contoso-signalrwestus-func-pe"
    world.approve(connections[1])
    assert world.link_status(link) == ("Pending", "Succeeded")
    world.approve(connections[0])
    assert world.link_status(link) == ("Approved", "Succeeded")


def test_the_knob_decides_whether_an_approved_connection_can_be_rejected() -> None:
    """Nobody has shown whether Azure takes that."""
    scene = Scene()
    _, connection = scene.link()
    scene.world.approve(connection)
    scene.knobs.approved_can_be_rejected = False
    with pytest.raises(ArmError) as refused:
        scene.world.reject(connection)
    assert refused.value.code == "PrivateEndpointConnectionStatusNotPending"
    scene.knobs.approved_can_be_rejected = True
    scene.world.reject(connection)
    assert scene.world.connection_status(connection) == "Rejected"


def test_an_auto_approved_connection_was_decided_by_nobody() -> None:
    """Whoever holds the approval action on the target is not asked about."""
    scene = Scene()
    connection = scene.world.request_connection(scene.site, "pe", auto_approved=True)
    assert scene.world.connection_status(connection) == "Approved"
    assert scene.world.decisions == []


def test_the_first_approval_closes_a_site_whose_exposure_is_null() -> None:
    """Null means Enabled until a private endpoint is there; an explicit value stays."""
    scene = Scene(approving=50)
    _, connection = scene.link()
    assert scene.world.effective_public_access(scene.site) == "Enabled"
    scene.world.approve(connection)
    assert scene.world.effective_public_access(scene.site) == "Enabled"
    scene.clock.advance(50)
    assert scene.world.effective_public_access(scene.site) == "Disabled"
    scene.world.set_exposure(scene.site, "Enabled")
    assert scene.world.effective_public_access(scene.site) == "Enabled"


def test_a_deleted_target_takes_its_connections_with_it() -> None:
    """Slots included; the links say Disconnected."""
    scene = Scene(disconnected_listed=600)
    slot = scene.world.add_slot(scene.site)
    link = scene.world.put_link(scene.service, "slot-pe", slot)
    (connection,) = scene.world.connections_of(link)
    scene.world.delete_target(scene.site)
    assert scene.world.connection_status(connection) is None
    assert scene.world.link_status(link) == ("Disconnected", "Succeeded")
    assert list(scene.world.all_targets()) == []


def test_a_deleted_service_takes_its_links_with_it() -> None:
    """And they take their connections."""
    scene = Scene()
    link, connection = scene.link()
    scene.world.delete_signalr(scene.service)
    assert scene.world.link_status(link) is None
    assert scene.world.connection_status(connection) is None


def test_what_was_done_a_while_ago_is_over() -> None:
    """A world can be made as though it had been standing for hours."""
    scene = Scene(link_provisioning=90, connection_delay=45, approving=50, link_status_lag=120)
    link = scene.world.put_link(scene.service, "func-pe", scene.site, ago=7200)
    scene.world.approve(scene.world.connections_of(link)[0], ago=3600)
    assert scene.world.link_status(link) == ("Approved", "Succeeded")


def test_the_same_seed_makes_the_same_world() -> None:
    """Names with guids in them are the same each time, and differ between seeds."""

    def connection(seed: int) -> str:
        world = World(clock=ManualClock(), seed=seed)
        return world.connections_of(world.put_link(world.add_signalr(), "l", world.add_site()))[0]

    assert connection(1) == connection(1) != connection(2)


_AFTER: dict[str | None, set[str | None]] = {
    None: {None, "Pending"},
    "Pending": {"Approving", "Approved", "Rejecting", "Rejected", "Disconnecting", "Disconnected", None},
    "Approving": {"Approved", "Rejecting", "Rejected", "Disconnecting", "Disconnected", None},
    "Approved": {"Rejecting", "Rejected", "Disconnecting", "Disconnected", None},
    "Rejecting": {"Rejected", "Disconnecting", "Disconnected", None},
    "Rejected": {"Disconnecting", "Disconnected", None},
    "Disconnecting": {"Disconnected", None},
    "Disconnected": {None},
}
_DELAYS = st.sampled_from([0.0, 5.0, 30.0])
_STEPS = st.lists(
    st.sampled_from(["approve", "reject", "delete_connection", "withdraw_connection", "delete_link", "wait", "wait"]), max_size=12
)


@given(steps=_STEPS, approving=_DELAYS, rejecting=_DELAYS, delay=_DELAYS, lag=_DELAYS, listed=_DELAYS, heard=_DELAYS)
def test_a_connection_only_ever_goes_forward(  # noqa: PLR0913, PLR0917  each is a delay of its own
    steps: list[str], approving: float, rejecting: float, delay: float, lag: float, listed: float, heard: float
) -> None:
    """No status comes after one that it cannot follow, and a link is never Approved if its connection never was."""
    scene = Scene(
        approving=approving,
        rejecting=rejecting,
        connection_delay=delay,
        link_status_lag=lag,
        disconnecting=5,
        disconnected_listed=listed,
        disconnect_delay=heard,
        link_deleting=heard,
    )
    link, connection = scene.link()
    world = scene.world
    before: str | None = None
    was: set[str | None] = set()

    def look() -> None:
        nonlocal before
        now = world.connection_status(connection)
        assert now == before or now in _AFTER[before]
        was.add(now)
        before = now
        says = world.link_status(link)
        assert says is None or says[0] in {"Pending", "Disconnected", *was}

    look()
    for step in [*steps, *["wait"] * 20]:
        if step == "wait":
            scene.clock.advance(5)
        else:
            subject = link if step == "delete_link" else connection
            # What it is too late for is refused.
            with suppress(ArmError):
                getattr(world, step)(subject)
        look()
