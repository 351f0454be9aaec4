"""The one place where adapters are built: settings in, a working application out.

Entry points and tests come here. Adapters are imported where they are built, so that a command that needs none of Azure
does not wait for Azure's SDKs.
"""

from shared.bootstrap.alerts import open_alerts
from shared.bootstrap.allowlists import allowlist_file
from shared.bootstrap.anchors import export_ledger, open_anchors, open_export
from shared.bootstrap.application import Application, make_engine_settings, open_application, open_work
from shared.bootstrap.clock import make_clock
from shared.bootstrap.dead_letters import open_dead_letters
from shared.bootstrap.keys import read_small_file, sign_in_key_vault
from shared.bootstrap.reports import answer_report, compare_allowlists, open_report, read_report
from shared.bootstrap.stores import open_ledger
from shared.bootstrap.traffic import Traffic, audit_traffic, open_audit, open_traffic

__all__ = [
    "Application",
    "Traffic",
    "allowlist_file",
    "answer_report",
    "audit_traffic",
    "compare_allowlists",
    "export_ledger",
    "make_clock",
    "make_engine_settings",
    "open_alerts",
    "open_anchors",
    "open_application",
    "open_audit",
    "open_dead_letters",
    "open_export",
    "open_ledger",
    "open_report",
    "open_traffic",
    "open_work",
    "read_report",
    "read_small_file",
    "sign_in_key_vault",
]
