"""``linkguard explain``."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from shared.cli.command import Answer, Common, Group, command
from shared.core.arm_id import ArmId
from shared.report.exit_codes import ExitCode
from shared.report.explain_text import explain_text

COMMANDS: Final = Group()


@command(COMMANDS, "explain")
@click.argument("subject", metavar="ID", help="The ARM id of a connection, or of a site or slot for all of its connections.")
async def run(common: Common, *, subject: str) -> Answer:
    """Show why a connection is what it is: the evidence side by side, every reason, what to type next.

    Looks at Azure now; records nothing.
    """
    from shared.bootstrap.application import open_application  # noqa: PLC0415  not needed to show help
    from shared.cli.present import explain_document, needs_person  # noqa: PLC0415  the same
    from shared.services.explain import explain, split_subject  # noqa: PLC0415  the same

    named = ArmId.parse(subject)
    _, connection = split_subject(named)
    async with open_application(common.environ, read_only=True) as application:
        explanation = await explain(application.engine, named)
        document = explain_document(explanation, connection, application.settings.mode)
    code = ExitCode.ATTENTION if needs_person(explanation.reports) or document.findings else ExitCode.OK
    return Answer(document, partial(explain_text, document), code)
