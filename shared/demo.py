"""The whole story in one process, without Azure: two links, their strangers, and an impostor (``linkguard demo``).

The local Azure plays Azure; everything else is what runs in production, with its waits shortened by the settings.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from shared.bootstrap.application import open_application
from shared.bootstrap.reports import read_report
from shared.core.arm_id import ArmId
from shared.core.ledger import verify_chain
from shared.demo_traffic import audit_an_hour
from shared.local_azure import LOCAL_TOKEN, SUBSCRIPTION, Knobs, LocalAzure
from shared.report.html import report_html
from shared.services.wait import sweep_until_done

if TYPE_CHECKING:
    from shared.ports import Ledger
    from shared.services.results import DecisionReport, SweepResult, TargetResult

MESSAGE: Final = "please approve"
"""The request message of Azure's own how-to: everybody knows it."""
_API_VERSION: Final = "2023-02-01"
_TIMEOUT: Final = timedelta(seconds=40)
_SETTINGS: Final = {
    "LINKGUARD_MODE": "enforce",
    "LINKGUARD_SUBSCRIPTIONS": SUBSCRIPTION,
    "LINKGUARD_CREDENTIAL": "local",
    "LINKGUARD_SETTLE": "1s",
    "LINKGUARD_RECHECK_DELAY": "500ms",
    "LINKGUARD_RECHECK_MAX": "2s",
    "LINKGUARD_ARM_TIMEOUT": "5s",
}
_ALLOWLIST: Final = """\
version: 1
rules:
  - id: contoso-upstream
    effect: allow
    signalr: {signalr}
    target: {func}
    owner: team-chat
    ticket: CHG-1234
  - id: contoso-web
    effect: allow
    signalr: {signalr}
    target: {web}
    owner: team-web
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is in the local Azure when the curtain rises."""

    signalr: str
    func: str
    web: str
    fabrikam: str
    """A SignalR service that no rule names."""


@dataclass(slots=True)
class Narrator:
    """Says what changed, once, as it happens."""

    say: Callable[[str], None]
    told: dict[str, str] = field(default_factory=dict)

    def planned(self, targets: int) -> None:
        """The sweep begins."""
        self.say(f"   {targets} watched targets")

    def done(self, result: TargetResult | None) -> None:
        """A target was looked at."""
        if result is not None:
            self.looked_again(result)

    def looked_again(self, result: TargetResult) -> None:
        """A target was looked at again."""
        for decision in result.decisions:
            name, line = _name(decision), _line(decision)
            if self.told.get(name) != line:
                self.told[name] = line
                self.say(f"   {name:<34} {line}")


def _name(decision: DecisionReport) -> str:
    if decision.connection is None:
        return f"{decision.target.id.name}/link {decision.link.name if decision.link else ''}"
    name = decision.connection.name.rsplit("-", 5)[0]
    return f"{decision.target.id.name}/{name} ({decision.connection.name[-4:]})"


def _line(decision: DecisionReport) -> str:
    codes = ", ".join(reason.code.value for reason in decision.reasons)
    outcome = f" -> {decision.outcome}" if decision.outcome else ""
    return f"{decision.verdict}{outcome}{f' ({codes})' if codes else ''}"


async def run(say: Callable[[str], None]) -> int:
    """Play it. Returns 0 where it ended as it must: the one approved and confirmed, all others held, the ledger whole."""
    knobs = Knobs(link_provisioning=0.8, connection_delay=0.4, approving=0.6, link_status_lag=0.8)
    with tempfile.TemporaryDirectory(prefix="linkguard-demo-") as folder:
        async with LocalAzure(knobs=knobs) as azure:
            scene = _set_scene(azure)
            say("1. A local Azure: one SignalR service, a function app, a web app, and strangers")
            say(f"   {azure.url}, with {scene.signalr.rsplit('/', 1)[1]}, contoso-func, contoso-web")
            say("   on contoso-func, a stranger asks for a connection and copies the message, but not the name")
            azure.world.request_connection(scene.func, "stranger-pe", MESSAGE)
            say("2. The links are made by the same PUT as in Azure's how-to")
            await _put_link(azure.url, f"{scene.signalr}/sharedPrivateLinkResources/func-pe", scene.func, say)
            await _put_link(azure.url, f"{scene.fabrikam}/sharedPrivateLinkResources/fabrikam-pe", scene.func, say)
            await _put_link(azure.url, f"{scene.signalr}/sharedPrivateLinkResources/web-pe", scene.web, say)
            say("   on contoso-web, an impostor copies the name web-pe and the message both")
            azure.world.request_connection(scene.web, "web-pe", MESSAGE)
            return await _guard(azure, scene, Path(folder), say)


def _set_scene(azure: LocalAzure) -> Scene:
    world = azure.world
    return Scene(
        signalr=world.add_signalr("contoso-signalr"),
        func=world.add_site("contoso-func", public_network_access="Enabled"),
        web=world.add_site("contoso-web", public_network_access="Enabled"),
        fabrikam=world.add_signalr("fabrikam-signalr", group="fabrikam"),
    )


async def _put_link(url: str, link: str, target: str, say: Callable[[str], None]) -> None:
    say(f"   PUT .../{'/'.join(link.rsplit('/', 4)[-3:])}")
    body = {"properties": {"groupId": "sites", "privateLinkResourceId": target, "requestMessage": MESSAGE}}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        headers = {"Authorization": f"Bearer {LOCAL_TOKEN}"}
        async with session.put(f"{url}{link}", params={"api-version": _API_VERSION}, json=body, headers=headers) as answer:
            answer.raise_for_status()


async def _guard(azure: LocalAzure, scene: Scene, folder: Path, say: Callable[[str], None]) -> int:
    allowlist = folder / "allowlist.yaml"
    await asyncio.to_thread(
        allowlist.write_text, _ALLOWLIST.format(signalr=scene.signalr, func=scene.func, web=scene.web), encoding="utf-8"
    )
    settings = _SETTINGS | {
        "LINKGUARD_ARM_ENDPOINT": azure.url,
        "LINKGUARD_ALLOWLIST": str(allowlist),
        "LINKGUARD_LEDGER": f"sqlite:///{folder / 'ledger.sqlite3'}",
    }
    async with open_application(settings) as application:
        say("3. linkguard sweep --wait")
        result = await sweep_until_done(application.engine, timeout=_TIMEOUT, progress=Narrator(say))
        say("4. What stands at the end")
        for decision in result.decisions:
            say(f"   {_name(decision):<34} {_line(decision)}")
        for finding in result.all_findings:
            say(f"   {finding.severity.value}: {finding.id.value}: {_short(finding.message)}")
        say("5. The audit of an hour of traffic")
        judged = await audit_an_hour(application.engine, scene.func, scene.web, folder, say)
        say("6. The ledger")
        whole = await _verify(application.engine.ledger, say)
    right = whole and judged and _as_it_must_be(azure, result, scene, say)
    say("7. linkguard report: open it in a browser")
    say(f"   {await asyncio.to_thread(_write, report_html(await read_report(settings)))}")
    return 0 if right else 1


def _write(page: str) -> str:
    """Where the report stays when the demo is over."""
    descriptor, path = tempfile.mkstemp(prefix="linkguard-report-", suffix=".html")
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  a descriptor is no path
        file.write(page)
    return path


def _short(message: str) -> str:
    """ARM ids down to their last names, for the width of a terminal."""
    return " ".join(word.rsplit("/", 1)[-1] if word.startswith("/subscriptions/") else word for word in message.split(" "))


async def _verify(ledger: Ledger, say: Callable[[str], None]) -> bool:
    whole = True
    for chain in await ledger.chains():
        records = [record async for record in ledger.records(chain)]
        faults = list(verify_chain(chain, records, await ledger.head(chain)))
        kinds = ", ".join(record.entry.kind.value for record in records)
        verdict = "whole" if not faults else "; ".join(fault.message for fault in faults)
        say(f"   {chain.rsplit('/', 1)[-1].lower()}: {len(records)} records ({kinds}): {verdict}")
        whole = whole and not faults
    return whole


def _as_it_must_be(azure: LocalAzure, result: SweepResult, scene: Scene, say: Callable[[str], None]) -> bool:
    """Against what only the local Azure knows: which connection truly belongs to which link."""
    world = azure.world
    approved = [d for d in result.decisions if d.outcome == "confirmed"]
    genuine = [str(d.connection) for d in approved if world.genuine(str(d.connection)) is not None]
    func = ArmId.parse(scene.func)
    held = [d for d in result.decisions if d.verdict == "hold"]
    right = (
        len(approved) == len(genuine) == 1
        and approved[0].target.id == func
        and len(world.approvals) == 1
        and len([d for d in held if d.target.id == func]) == 2  # noqa: PLR2004  the stranger, and the service without a rule
        and len([d for d in held if d.target.id != func]) == 2  # noqa: PLR2004  the two that cannot be told apart
    )
    say(
        "Done: one connection approved and confirmed, four held, nobody touched a portal."
        if right
        else "This is not how it should have ended; please report it, with what is above."
    )
    return right
