"""``linkguard request``: a link's request message that a stranger cannot guess, or one that is of no use to a stranger."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from shared.cli.command import PLACE, Answer, Common, Group, command
from shared.config import parse_duration
from shared.core.arm_id import ArmId, fold_case
from shared.core.errors import ConfigError
from shared.core.model import SIGNALR_TYPE, Target
from shared.report.checks_text import request_text
from shared.report.documents import RequestDocument
from shared.report.escape import shell

if TYPE_CHECKING:
    from datetime import datetime

COMMANDS: Final = Group()

_SCHEME: Final = "://"
_LINK_CHILD: Final = "sharedPrivateLinkResources"
_API_VERSION: Final = "2023-02-01"
_RANDOM_BYTES: Final = 20
_DEFAULT_EXPIRES: Final = "7d"
_LONGEST: Final = timedelta(days=366)


@command(COMMANDS, "request")
@click.argument(
    "link",
    required=False,
    metavar="[LINK_ID]",
    help="The link's ARM id, .../signalR/<service>/sharedPrivateLinkResources/<link>, made already or not.",
)
@click.option("--target", metavar="ID", help="The ARM id of the site or slot it leads to.")
@click.option(
    "--key", type=PLACE, metavar="PEM_OR_URL", help="Sign with this private key (P-256): a file, or a key in Key Vault."
)
@click.option("--key-id", metavar="ID", help="With --key: what LINKGUARD_VERIFY_KEYS calls it.")
@click.option(
    "--expires", default=_DEFAULT_EXPIRES, show_default=True, metavar="DURATION", help="With --key: for how long it counts."
)
async def run(  # noqa: PLR0913  one option each
    common: Common,
    *,
    link: str | None,
    target: str | None,
    key: str | None,
    key_id: str | None,
    expires: str,
) -> Answer:
    """Make a link's request message: a random one, or with --key a signed one, and the command that makes the link with it."""
    named = _named(link, target)
    if key is not None or key_id is not None:
        document = await _signed(common, named, key, key_id, expires)
    elif expires != _DEFAULT_EXPIRES:
        raise ConfigError(["--expires goes with --key: a random message does not expire"])
    else:
        message = secrets.token_hex(_RANDOM_BYTES)
        document = RequestDocument(
            message=message, key_id=None, expires=None, link=named[0] if named else None, command=_command(named, message)
        )
    return Answer(document, partial(request_text, document))


def _named(link: str | None, target: str | None) -> tuple[ArmId, Target] | None:
    if link is None and target is None:
        return None
    if link is None or target is None:
        raise ConfigError(["give both the link's id and --target, or neither for a random message alone"])
    link_id = ArmId.parse(link)
    if len(link_id.path) != len((SIGNALR_TYPE, _LINK_CHILD)) or not (
        link_id.parent.is_type(SIGNALR_TYPE) and fold_case(link_id.path[-1][0]) == fold_case(_LINK_CHILD)
    ):
        raise ConfigError([f"{link_id} is not the id of a shared private link: .../signalR/<service>/{_LINK_CHILD}/<link>"])
    return link_id, Target(ArmId.parse(target))


async def _signed(
    common: Common, named: tuple[ArmId, Target] | None, key: str | None, key_id: str | None, expires: str
) -> RequestDocument:
    from shared.bootstrap.clock import make_clock  # noqa: PLC0415  not needed to show help
    from shared.bootstrap.keys import read_small_file, sign_in_key_vault  # noqa: PLC0415  the same
    from shared.core.request_message import assemble, load_private_key, message_payload, sign  # noqa: PLC0415  the same

    problems = []
    if key is None or key_id is None:
        problems.append("--key and --key-id go together")
    if named is None:
        problems.append("a signed message is for one link of one service to one target: give the link's id and --target")
    if key is None or key_id is None or named is None:
        raise ConfigError(problems)
    link, target = named
    until = _until(expires, make_clock().now())
    if _SCHEME in key:
        payload = message_payload(signalr=link.parent, target=target.id, link_name=link.name, expires=until)
        signature = await sign_in_key_vault(common.environ, key, hashlib.sha256(payload).digest())
        message = assemble(key_id=key_id, expires=until, signature=signature)
    else:
        private_key = load_private_key(read_small_file(Path(key)))
        message = sign(private_key, key_id=key_id, signalr=link.parent, target=target.id, link_name=link.name, expires=until)
    return RequestDocument(message=message, key_id=key_id, expires=until, link=link, command=_command(named, message))


def _until(expires: str, now: datetime) -> datetime:
    try:
        duration = parse_duration(expires)
    except ValueError as error:
        raise ConfigError([f"--expires: {error}"]) from error
    if not timedelta() < duration <= _LONGEST:
        raise ConfigError([f"--expires: give a time of more than nothing and at most {_LONGEST.days}d"])
    return (now + duration).replace(microsecond=0)


def _command(named: tuple[ArmId, Target] | None, message: str) -> str | None:
    """The how-to's own PUT. The address is relative, so that the Azure CLI's current cloud is asked."""
    if named is None:
        return None
    link, target = named
    properties = {"groupId": target.group_id, "privateLinkResourceId": str(target.site), "requestMessage": message}
    body = json.dumps({"properties": properties})
    return f"az rest --method put --url {shell(f'{link}?api-version={_API_VERSION}')} --body {shell(body)}"
