"""The two custom roles hold exactly what the code asks Azure for: seen from the local Azure's record of requests."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Final

from shared.adapters.arm import Arm
from shared.adapters.credentials import LocalCredential
from shared.core.arm_id import ArmId
from shared.core.model import Connection, Target
from shared.local_azure import SUBSCRIPTION, Knobs, LocalAzure, ManualClock, World
from tests.desk import Desk
from tests.fakes.clock import FakeClock
from tests.infra import bicep
from tests.infra.bicep import INFRA

if TYPE_CHECKING:
    from pathlib import Path

_VERBS: Final = {"get": "read", "list": "read", "put": "write", "delete": "delete"}
ROLES: Final = "modules/roles.bicep"


def actions(operations: set[str]) -> set[str]:
    """``list Microsoft.Web/sites`` is the action ``microsoft.web/sites/read``; actions are compared without case."""
    return {f"{kind}/{_VERBS[verb]}".lower() for verb, _, kind in (one.partition(" ") for one in operations if one)}


async def asked_for(*, inline: bool) -> tuple[set[str], set[str]]:
    """What every method of the adapter asks for, reading and writing, of a site and a slot; with and without inline data."""
    world = World(clock=ManualClock(), knobs=Knobs(inline_links=inline, inline_connections=inline, site_sku=inline))
    site = world.add_site(public_network_access="Enabled")
    slot = world.add_slot(site, "stage")
    service = world.add_signalr("signalr")
    world.put_link(service, "link", site, "please")
    world.put_link(service, "link-of-slot", slot, "please")
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(600)
    async with (
        LocalAzure(world) as server,
        Arm(
            endpoint=server.url,
            scope=f"{server.url}/.default",
            credential=LocalCredential(),
            clock=FakeClock(),
            reads_per_second=0,
        ) as arm,
    ):
        await arm.list_signalr(SUBSCRIPTION)
        await arm.get_signalr(ArmId.parse(service))
        await arm.list_sites(SUBSCRIPTION)
        connections: list[Connection] = []
        for target in (site, slot):
            await arm.get_site(Target(ArmId.parse(target)))
            found = (await arm.list_connections(Target(ArmId.parse(target)))).value
            assert found
            connections += found
        reading = actions(set(server.requests.counts))
        server.requests.clear()
        for connection in connections:
            await arm.set_connection(connection.id, "Approved", "lg:test")
            await arm.delete_connection(connection.id)
        return reading, actions(set(server.requests.counts))


def said(variable: str) -> set[str]:
    """A list of actions of the roles' file."""
    return {one.lower() for one in bicep.string_list(ROLES, variable)}


def of_slots(variable: str, way: str) -> set[str]:
    """What a way of naming the connections of slots adds to a role."""
    return {one.lower() for one in bicep.strings(bicep.properties(bicep.file(ROLES).variables[variable])[way])}


def granted(kind: str, way: str = "named") -> set[str]:
    """What the roles grant of a kind, ``read``, ``write`` or ``delete``."""
    return said(f"{kind}Actions") | of_slots(f"slot{kind.title()}Actions", way)


def fits(action: str, roles: set[str]) -> bool:
    """As Azure matches: a star stands for any text."""
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in roles)


async def test_the_reader_can_do_what_observing_asks_for_and_nothing_else() -> None:
    """Both ways that Azure may answer: with links and tiers inline, and without. Slots by their own actions."""
    with_inline, _ = await asked_for(inline=True)
    without, _ = await asked_for(inline=False)
    assert granted("read") == with_inline | without
    assert all(action.endswith("/read") for way in WAYS for action in granted("read", way))
    assert "actions: concat(readActions, slotReadActions[slotActions])" in whole("reader")


async def test_the_approver_can_do_what_deciding_writes_and_nothing_else() -> None:
    """Approving and rejecting is a write; deleting is apart, since it may be left out."""
    _, writing = await asked_for(inline=True)
    assert granted("write") | granted("delete") == writing
    for kind in ("write", "delete"):
        assert all(action.endswith(f"/{kind}") for way in WAYS for action in granted(kind, way))


WAYS: Final = ("none", "named", "pattern")
CATALOGUE: Final = {
    "microsoft.signalrservice/signalr/read",
    "microsoft.signalrservice/signalr/sharedprivatelinkresources/delete",
    "microsoft.signalrservice/signalr/sharedprivatelinkresources/read",
    "microsoft.signalrservice/signalr/sharedprivatelinkresources/write",
    "microsoft.web/serverfarms/read",
    "microsoft.web/sites/privateendpointconnectionproxies/delete",
    "microsoft.web/sites/privateendpointconnectionproxies/operations/read",
    "microsoft.web/sites/privateendpointconnectionproxies/read",
    "microsoft.web/sites/privateendpointconnectionproxies/validate/action",
    "microsoft.web/sites/privateendpointconnectionproxies/write",
    "microsoft.web/sites/privateendpointconnections/delete",
    "microsoft.web/sites/privateendpointconnections/read",
    "microsoft.web/sites/privateendpointconnections/write",
    "microsoft.web/sites/privateendpointconnectionsapproval/action",
    "microsoft.web/sites/privatelinkresources/read",
    "microsoft.web/sites/read",
    "microsoft.web/sites/slots/read",
    "microsoft.web/sites/slots/config/appsettings/read",
    "microsoft.web/sites/write",
}
"""Some of what is published, and all that it has about connections.

https://learn.microsoft.com/azure/role-based-access-control/permissions/web-and-mobile
"""


def test_the_roles_as_they_are_deployed_name_published_actions_alone() -> None:
    """Azure refuses a role as a whole for one action that its catalogue does not have: the connections of slots are left out."""
    assert "param slotActions string = 'none'" in (INFRA / "main.bicep").read_text()
    for kind in ("read", "write", "delete"):
        assert of_slots(f"slot{kind.title()}Actions", "none") == set()
        assert granted(kind, "none") <= CATALOGUE


def test_a_pattern_fits_a_published_action_and_the_slots_and_nothing_more() -> None:
    """The site's own action, so that Azure takes it; never the automatic approval, nor a proxy's."""
    for kind in ("read", "write", "delete"):
        (pattern,) = of_slots(f"slot{kind.title()}Actions", "pattern")
        assert {action for action in CATALOGUE if fits(action, {pattern})} == {
            f"microsoft.web/sites/privateendpointconnections/{kind}"
        }
        assert all(fits(action, {pattern}) for action in of_slots(f"slot{kind.title()}Actions", "named"))


def whole(role: str) -> str:
    return bicep.text(bicep.file(ROLES).resources[role].node)


def test_deleting_may_be_left_out() -> None:
    """By a parameter; approving and rejecting stay."""
    deletes = "take(everyDelete, canDelete ? length(everyDelete) : 0)"
    assert f"concat(writeActions, slotWriteActions[slotActions], {deletes})" in whole("approver")
    assert "canDelete: approverCanDelete" in bicep.text(bicep.file("main.bicep").modules["roles"].node)


def test_the_roles_can_be_assigned_where_it_is_said() -> None:
    """The watched subscriptions, and so their resource groups; or whatever scopes are named, such as a management group."""
    main = bicep.file("main.bicep")
    assert "assignableScopes: assignableScopes" in bicep.text(main.modules["roles"].node)
    scopes = bicep.text(main.variables["assignableScopes"])
    assert scopes.endswith("empty(roleScopes) ? watchedScopes : split(replace(roleScopes, ' ', ''), ',')")
    for role in ("reader", "approver"):
        assert "assignableScopes: assignableScopes" in whole(role)


def test_each_data_role_is_on_the_narrowest_scope() -> None:
    """One resource, or one container of it; never a resource group or a subscription, but for the role that reads there."""
    scopes = {
        f"{file.name}: {name}": bicep.text(scope) if (scope := bicep.property_of(resource.node, "scope")) else ""
        for file in bicep.files()
        for name, resource in file.resources.items()
        if resource.type == "Microsoft.Authorization/roleAssignments"
    }
    assert scopes == {
        "modules/alert-topic.bicep: sends": "topic",
        "modules/dead-letter-writer.bicep: writes": "container",
        "modules/host-storage.bicep: ownsBlobs": "account",
        "modules/host-storage.bicep: usesQueues": "account",
        "modules/host-storage.bicep: usesTables": "account",
        "modules/monitoring.bicep: publishes": "component",
        "modules/records-storage.bicep: readsAllowlist": "allowlist",
        "modules/records-storage.bicep: writesAnchors": "anchors",
        "modules/subscription-role.bicep: assignment": "",
        "modules/vault.bicep: readsSecrets": "vault",
    }


def test_each_assignment_keeps_its_name_and_gives_its_role() -> None:
    """It follows from where, who and which role alone: the same at each deployment, another for a new identity."""
    assignments = [
        one for file in bicep.files() for one in file.resources.values() if one.type == "Microsoft.Authorization/roleAssignments"
    ]
    given = {}
    for one in assignments:
        scope = bicep.property_of(one.node, "scope")
        where = "subscription()" if scope is None else bicep.text(scope)
        definition = bicep.property_of(one.node, "properties", "roleDefinitionId")
        who = bicep.property_of(one.node, "properties", "principalId")
        assert definition is not None
        assert who is not None
        role = re.fullmatch(r"subscriptionResourceId\('Microsoft.Authorization/roleDefinitions', (\w+)\)", bicep.text(definition))
        assert role is not None, one
        name = bicep.property_of(one.node, "name")
        assert name is not None
        assert bicep.text(name) == f"guid({where}.id, {bicep.text(who)}, {role[1]})"
        guid = bicep.file(one.file).variables.get(role[1])
        given[f"{one.file}: {one.name}"] = bicep.strings(guid)[0] if guid is not None else role[1]
    assert given == {
        "modules/alert-topic.bicep: sends": BUILT_IN["EventGrid Data Sender"],
        "modules/dead-letter-writer.bicep: writes": BUILT_IN["Storage Blob Data Contributor"],
        "modules/host-storage.bicep: ownsBlobs": BUILT_IN["Storage Blob Data Owner"],
        "modules/host-storage.bicep: usesQueues": BUILT_IN["Storage Queue Data Contributor"],
        "modules/host-storage.bicep: usesTables": BUILT_IN["Storage Table Data Contributor"],
        "modules/monitoring.bicep: publishes": BUILT_IN["Monitoring Metrics Publisher"],
        "modules/records-storage.bicep: readsAllowlist": BUILT_IN["Storage Blob Data Reader"],
        "modules/records-storage.bicep: writesAnchors": BUILT_IN["Storage Blob Data Contributor"],
        "modules/subscription-role.bicep: assignment": "roleName",
        "modules/vault.bicep: readsSecrets": BUILT_IN["Key Vault Secrets User"],
    }


def swept(desk: Desk, mode: str) -> set[str]:
    """The actions behind every request of sweeps that go on until nothing is waited for."""
    desk.azure.requests.clear()
    ran = desk.run("sweep", "--wait", "--timeout", "20s", LINKGUARD_MODE=mode)
    assert ran.code in {0, 1}, ran.stderr
    return actions(set(desk.azure.requests.counts))


def test_a_whole_sweep_keeps_to_its_roles(tmp_path: Path) -> None:
    """Observing needs the reader alone and writes nothing; enforcing needs the approver's write beside it, and approves."""
    with LocalAzure().in_thread() as azure:
        desk = Desk(azure, tmp_path)
        slot = azure.world.add_slot(desk.target, "stage", public_network_access="Enabled")
        desk.allowlist.write_text(f"{desk.allowlist.read_text()}    slots: [production, stage]\n")
        desk.put_link()
        azure.world.put_link(desk.signalr, "link-of-slot", slot, "please")
        observing = swept(desk, "observe")
        assert azure.requests.writes == 0
        assert observing <= granted("read")
        enforcing = swept(desk, "enforce")
        assert enforcing <= granted("read") | granted("write")
        assert granted("write") <= enforcing


def test_nobody_may_approve_automatically() -> None:
    """Whoever holds the approval action gets each request approved at once, without evidence."""
    assert not any("privateendpointconnectionsapproval" in bicep.text(file.root).lower() for file in bicep.files())


def test_no_role_is_wide() -> None:
    """No wildcard, no built-in Owner or Contributor, and each role that is assigned is one of those that are needed."""
    for file in bicep.files():
        for resource in file.resources.values():
            if resource.type == "Microsoft.Authorization/roleDefinitions":
                assert "*" not in bicep.text(resource.node)
    guids = {
        value
        for file in bicep.files()
        for node in file.variables.values()
        for value in bicep.strings(node)
        if len(value) == 36 and value.count("-") == 4
    }
    assert guids == set(BUILT_IN.values())


BUILT_IN: Final = {
    "EventGrid Data Sender": "d5a91429-5739-47e2-a06b-3470a27159e7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
"""https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"""
