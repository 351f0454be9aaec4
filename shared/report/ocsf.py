"""Findings as events of the Open Cybersecurity Schema Framework, version 1.8.0, one JSON object a line.

What somebody did or may have done is a Detection Finding (class 2004); what is not as it should be is a Compliance Finding
(class 2003): https://schema.ocsf.io/1.8.0/classes/detection_finding, .../compliance_finding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from shared.core.finding import DRIFT, Severity
from shared.core.finding_life import Life

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.core.ledger import JsonObject
    from shared.core.report_data import FindingView

OCSF_VERSION: Final = "1.8.0"
_CATEGORY: Final = 2
"""Findings."""
_SEVERITIES: Final[Mapping[Severity, tuple[int, str]]] = {Severity.CRITICAL: (5, "Critical"), Severity.WARNING: (3, "Medium")}
_ACTIVITIES: Final[Mapping[Life, tuple[int, str]]] = {
    Life.NEW: (1, "Create"),
    Life.REPEATED: (2, "Update"),
    Life.WORSE: (2, "Update"),
    Life.RESOLVED: (3, "Close"),
}


class OcsfClass(IntEnum):
    """The classes that are used, by their ids."""

    COMPLIANCE_FINDING = 2003
    DETECTION_FINDING = 2004


@dataclass(frozen=True, slots=True, kw_only=True)
class OcsfFinding:
    """What an event says, whatever its class."""

    cls: OcsfClass
    uid: str
    """The same at every event about the same thing."""
    kind: str
    """A stable id of what it is, such as ``impostor_suspected``."""
    message: str
    severity: Severity
    life: Life
    at: datetime
    first_seen: datetime | None
    last_seen: datetime | None
    resource: str
    """An ARM id; "" where it is about no one resource."""
    facts: Mapping[str, str]


def ocsf_event(found: OcsfFinding, product_version: str) -> JsonObject:
    """The event, as the schema wants it."""
    activity, activity_name = _ACTIVITIES[found.life]
    severity, severity_name = _SEVERITIES[found.severity]
    is_over = found.life is Life.RESOLVED
    info: JsonObject = {"uid": found.uid, "title": found.kind.replace("_", " "), "desc": found.message, "types": [found.kind]}
    if found.first_seen is not None:
        info["first_seen_time"] = _milliseconds(found.first_seen)
    if found.last_seen is not None:
        info["last_seen_time"] = _milliseconds(found.last_seen)
    event: JsonObject = {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": found.cls.value,
        "class_name": found.cls.name.replace("_", " ").title(),
        "type_uid": found.cls.value * 100 + activity,
        "time": _milliseconds(found.at),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": 4 if is_over else 1,
        "status": "Resolved" if is_over else "New",
        "message": found.message,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "Linkguard", "vendor_name": "Linkguard", "version": product_version},
        },
        "finding_info": info,
    }
    if found.resource:
        event["resources"] = [{"uid": found.resource, "name": found.resource.rsplit("/", 1)[-1], "type": _type(found.resource)}]
    if found.facts:
        event["evidences"] = [{"data": dict(found.facts)}]
    if found.cls is OcsfClass.COMPLIANCE_FINDING:
        event["compliance"] = {
            "control": found.kind,
            "status_id": 1 if is_over else 3,
            "status": "Pass" if is_over else "Fail",
        }
    return event


def ocsf_finding(view: FindingView) -> OcsfFinding:
    """A finding of the report."""
    finding = view.finding
    return OcsfFinding(
        cls=OcsfClass.COMPLIANCE_FINDING if finding.id in DRIFT else OcsfClass.DETECTION_FINDING,
        uid=finding.fingerprint,
        kind=finding.id.value,
        message=finding.message,
        severity=finding.severity,
        life=view.life,
        at=view.resolved_at or view.last_seen,
        first_seen=view.first_seen,
        last_seen=view.last_seen,
        resource=finding.target,
        facts=finding.facts,
    )


def ocsf_lines(found: Iterable[OcsfFinding], product_version: str) -> str:
    """One event a line, ASCII; "" where there is none."""
    return "".join(f"{json.dumps(ocsf_event(one, product_version), ensure_ascii=True)}\n" for one in found)


def _milliseconds(moment: datetime) -> int:
    """Since 1970, as OCSF counts time."""
    return int(moment.timestamp() * 1000)


def _type(resource: str) -> str:
    """The ARM type of an id, its names left out: ``Microsoft.Web/sites/slots``."""
    _, _, rest = resource.partition("/providers/")
    namespace, *names = rest.split("/")
    return "/".join([namespace, *names[::2]])
