"""A step of the demo: an hour of traffic of its two sites, written as App Service writes it, and audited as the timer does."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.bootstrap.clock import make_clock
from shared.bootstrap.traffic import open_traffic
from shared.core.address import PrivateRanges
from shared.core.traffic import verdict_name
from shared.report.audit_text import sentence
from shared.services.audit_timer import run_audit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from shared.services.engine import Engine

_WEBHOOK: Final = "/runtime/webhooks/signalr"
_MINUTES: Final = 60


async def audit_an_hour(engine: Engine, func: str, web: str, folder: Path, say: Callable[[str], None]) -> bool:
    """Write the hour before this one and audit it into the ledger; whether the verdicts are as they must be."""
    from shared.adapters.log_format import LogFormat  # noqa: PLC0415  as the command line does

    start = make_clock().now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    lines = {
        func: [*_platform(func, start, text=True), *_forged(func, start)],
        web: list(_platform(web, start, text=False)),
    }
    lines[web].append(_record(web, start + timedelta(minutes=31), "20.50.2.9", "POST", _WEBHOOK, "curl", text=False))
    paths = []
    for target, found in lines.items():
        hour = f"{start:y=%Y/m=%m/d=%d/h=%H}/m=00"
        path = folder / f"resourceId={target.upper()}".replace("/", "_") / hour / "PT1H.json"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(found) + "\n", encoding="utf-8")
        paths.append(str(path))
    say("   contoso-func (Linux plan): private calls, forged left parts of X-Forwarded-For, pings")
    say("   contoso-web (Windows plan): the same, and one call from a public address")
    async with open_traffic({}, logs=paths, log_format=LogFormat.AUTO) as traffic:
        done = await run_audit(engine, traffic.files, PrivateRanges())
    verdicts = {}
    for judged in done.targets if done else ():
        name = judged.target.rsplit("/", 1)[-1].lower()
        verdicts[name] = verdict_name(judged.verdict)
        say(f"   {name:<14} {verdicts[name]:<13} {sentence(judged)}")
    return verdicts == {"contoso-func": "private", "contoso-web": "public-seen"}


def _platform(target: str, start: datetime, *, text: bool) -> Iterator[str]:
    for minute in range(_MINUTES):
        at = start + timedelta(minutes=minute)
        yield _record(target, at, f"10.0.{minute % 4}.{minute % 9 + 4}", "POST", _WEBHOOK, "agent", text=text)
        if minute % 5 == 0:
            yield _record(target, at, "127.0.0.1", "GET", "/", "AlwaysOn", text=text)


def _forged(target: str, start: datetime) -> Iterator[str]:
    """What the app logs of calls whose callers claim to be somebody else: the right-most element is the platform's."""
    for minute in range(0, _MINUTES, 10):
        header = f"20.50.{minute}.1, unknown, 10.0.0.{minute + 4}:5{minute:04}"
        message = json.dumps({"method": "POST", "path": _WEBHOOK, "X-Forwarded-For": header})
        record = {"time": f"{start + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}", "resourceId": target.upper()}
        yield json.dumps({**record, "category": "FunctionAppLogs", "properties": {"message": message}})


def _record(  # noqa: PLR0913, PLR0917  a log's fields
    target: str, at: datetime, client: str, method: str, path: str, agent: str, *, text: bool
) -> str:
    fields: dict[str, object] = {
        "CsMethod": method,
        "CsUriStem": path,
        "CIp": client,
        "UserAgent": agent,
        "CsHost": f"{target.rsplit('/', 1)[-1]}.azurewebsites.net",
        "ScStatus": "200" if text else 200,
    }
    record = {"time": f"{at:%Y-%m-%dT%H:%M:%SZ}", "resourceId": target.upper(), "category": "AppServiceHTTPLogs"}
    return json.dumps({**record, "properties": json.dumps(fields) if text else fields})
