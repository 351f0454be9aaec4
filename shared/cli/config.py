"""``linkguard config check``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from shared.cli.command import Answer, Common, Group, command
from shared.config import SETTINGS
from shared.core.errors import AzureError, ConfigError
from shared.report.checks_text import config_text
from shared.report.documents import CheckItem, ConfigDocument, SettingItem
from shared.report.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from shared.bootstrap.application import Application

COMMANDS: Final = Group(help="The configuration.")

_OURS: Final = frozenset({"settings", "allowlist"})
"""Checks that fail by configuration alone; the others need Azure or the ledger."""


@command(COMMANDS, "check")
async def check(common: Common) -> Answer:
    """Check the settings, the allowlist, the credential and each permission to read. Writes nothing."""
    from shared.bootstrap.application import open_application  # noqa: PLC0415  not needed to show help

    try:
        async with open_application(common.environ, read_only=True) as application:
            checks = await _checks(application)
    except ConfigError as error:
        checks = [CheckItem(name="settings", ok=False, message=problem, advice="") for problem in error.problems]
    document = ConfigDocument(
        ok=all(one.ok for one in checks),
        settings=tuple(_settings(common.environ, {one.message.partition(":")[0] for one in checks if not one.ok})),
        checks=tuple(checks),
    )
    return Answer(document, partial(config_text, document), _code(checks))


def _settings(environ: Mapping[str, str], wrong: Collection[str]) -> Iterator[SettingItem]:
    """Each as it counts. A wrong one is not repeated: it may be a secret in the wrong place."""
    for setting in SETTINGS:
        text = setting.text(environ)
        value = "not shown, since it is wrong" if setting.name in wrong else setting.shown(text)
        yield SettingItem(name=setting.name, value=value, is_default=text == setting.default)


async def _checks(application: Application) -> list[CheckItem]:
    from shared.services.preflight import preflight  # noqa: PLC0415  not needed to show help

    settings = CheckItem(name="settings", ok=True, message="each can be used, and the public keys can be read", advice="")
    found = await preflight(application.engine)
    checks = [CheckItem(name=one.name, ok=one.ok, message=one.message, advice=one.advice) for one in found]
    return [settings, await _credential(application), *checks]


async def _credential(application: Application) -> CheckItem:
    try:
        identity = await application.identity()
    except AzureError as error:
        advice = "az login, or check LINKGUARD_CREDENTIAL and the managed identity"
        return CheckItem(name="credential", ok=False, message=str(error), advice=advice)
    except ConfigError as error:
        # Good enough to sweep with; only a person's decision needs a name.
        return CheckItem(name="credential", ok=True, message=str(error), advice="")
    return CheckItem(name="credential", ok=True, message=f"a token for the identity {identity}", advice="")


def _code(checks: Sequence[CheckItem]) -> ExitCode:
    failed = {one.name for one in checks if not one.ok}
    if failed & _OURS:
        return ExitCode.USAGE
    return ExitCode.INCOMPLETE if failed else ExitCode.OK
