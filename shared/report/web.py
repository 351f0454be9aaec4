"""The report over HTTP: who may have it, and the headers that keep it where it belongs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.report.html import content_security_policy, report_html
from shared.report.json_text import json_text
from shared.report.report_document import report_document

if TYPE_CHECKING:
    from shared.core.report_data import ReportData

PRINCIPAL: Final = "x-ms-client-principal"
"""Set by App Service authentication, as base64 of JSON, and by nobody else: it removes what a caller sends by this name
(https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities)."""
PLATFORM_AUTHENTICATION: Final = "WEBSITE_AUTH_ENABLED"
"""The platform's variable that says whether its authentication is on
(https://learn.microsoft.com/azure/app-service/reference-app-settings)."""
_LONGEST_PRINCIPAL: Final = 65_536
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAnswer:
    """An answer over HTTP."""

    status: int
    body: str
    headers: Mapping[str, str]


def refuse(headers: Mapping[str, str], *, require_principal: bool, platform_authenticates: bool) -> WebAnswer | None:
    """Why the caller may not have the report; None where nothing speaks against it.

    Args:
        headers: of the request, by any case of their names.
        require_principal: whether App Service authentication must have signed the caller in.
        platform_authenticates: whether it is on. Without it anybody can send the header that it would set.

    """
    if not require_principal:
        return None
    if not platform_authenticates:
        return _said(403, "App Service authentication is demanded by LINKGUARD_REPORT_REQUIRE_PRINCIPAL and is not switched on")
    found = {name.lower(): value for name, value in headers.items()}.get(PRINCIPAL, "")
    return None if _is_principal(found) else _said(401, "sign in: the report is for signed-in users")


def _is_principal(text: str) -> bool:
    """Whether it is what App Service sends: base64 of a JSON object with claims."""
    if not text or len(text) > _LONGEST_PRINCIPAL:
        return False
    try:
        principal = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(principal, dict) and isinstance(principal.get("claims"), list) and bool(principal["claims"])


def answer(data: ReportData, wanted: str) -> WebAnswer:
    """The report: ``html`` or "" is the page, ``json`` the data."""
    match wanted:
        case "" | "html":
            headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": content_security_policy()}
            return WebAnswer(status=200, body=report_html(data), headers=_HEADERS | headers)
        case "json":
            body = json_text(report_document(data))
            return WebAnswer(status=200, body=body, headers=_HEADERS | {"Content-Type": "application/json"})
        case _:
            return _said(400, "format is html or json")


def unavailable() -> WebAnswer:
    """What the stores cannot answer now; why is in the log and nobody else's business."""
    return _said(503, "the report cannot be made now")


def _said(status: int, message: str) -> WebAnswer:
    headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Security-Policy": "default-src 'none'"}
    return WebAnswer(status=status, body=f"{message}\n", headers=_HEADERS | headers)
