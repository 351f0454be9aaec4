"""What every command shares: its options, how its answer is written, and which exit code a failure becomes."""

from __future__ import annotations

import functools
import io
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Concatenate, Final, NoReturn, override

import click

from shared.cli.terminal import LOGGER, check_output, complain, open_output, say, set_up_logging, style_of
from shared.core.errors import AllowlistError, AzureError, ConfigError, InvalidIdError, LinkguardError
from shared.report.escape import clean
from shared.report.exit_codes import INTERRUPTED, ExitCode
from shared.report.style import PLAIN, Style

REPORT_AT = "please report it, with the output of the same command and --verbose"


class Format(StrEnum):
    """How an answer is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that every command has."""

    environ: Mapping[str, str]
    format: StrEnum
    """A :class:`Format`, or a member of the command's own formats."""
    output: Path | None
    verbose: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say."""

    document: object
    """A dataclass of :mod:`shared.report.documents`."""
    text: Callable[[Style], str]
    code: ExitCode = ExitCode.OK


@dataclass(frozen=True, slots=True)
class Written:
    """The command has written its answer itself, line by line."""

    code: ExitCode = ExitCode.OK


class _Context(click.Context):
    """What an error repeats of a wrong command line is nothing that a terminal acts on."""

    @override
    def fail(self, message: str) -> NoReturn:
        super().fail(clean(message))


class _Command(click.Command):
    context_class = _Context

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What an option has click print, such as its help, is written as an answer is."""
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                return super().parse_args(ctx, args)
        finally:
            say(printed.getvalue())

    @override
    def get_short_help_str(self, limit: int = sys.maxsize) -> str:
        """The first sentence, whole: in a list of commands there is room for more than one line."""
        return super().get_short_help_str(sys.maxsize)


class Group(_Command, click.Group):
    """What a module's commands are registered in: shown in the order in which they are made, not in the alphabet's."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class OneOf[E: StrEnum](click.Choice[E]):
    """One of an enum's members, by its value; click's own choice goes by their names."""

    @override
    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)


# Whoever opens one says what is wrong with it, in the same words whatever named it.
FILE: Final = click.Path(readable=False, path_type=Path)
PLACE: Final = click.Path(readable=False)
"""As it is written: it may be a file, for a shell to complete, and may be a glob or an address."""

_COMMON: Final = (
    click.Option(["--json", "as_json"], is_flag=True, help="The same as --format json."),
    click.Option(["--output"], type=FILE, metavar="FILE", help="Write the answer to this file instead of standard output."),
    click.Option(["--verbose"], is_flag=True, help="Say on standard error what is done."),
)

type Command[**P] = Callable[Concatenate[Common, P], Awaitable[Answer | Written]]


def command[**P](group: click.Group, name: str, *, formats: type[StrEnum] = Format) -> Callable[[Command[P]], Command[P]]:
    """Make an async function a command of ``group``, with the common options added to its own.

    ``formats`` are those of its ``--format``, ``json`` among them; the first is the default.

    The function takes :class:`Common` first and then what click's decorators below this one give it, by name. It returns
    an answer or raises; here is the one place where that becomes output and an exit code.
    """
    format_option = click.Option(
        ["--format", "format_"],
        type=OneOf(formats),
        default=next(iter(formats)).value,
        show_default=True,
        help="How the answer is written.",
    )

    def register(function: Command[P]) -> Command[P]:
        def run(*, format_: StrEnum, as_json: bool, output: Path | None, verbose: bool, **options: Any) -> NoReturn:  # noqa: ANN401  its own
            chosen = formats(Format.JSON.value) if as_json else format_
            common = Common(environ=os.environ, format=chosen, output=output, verbose=verbose)
            raise click.exceptions.Exit(execute(functools.partial(function, common, **options), common))

        own = reversed(getattr(function, "__click_params__", []))  # Decorators are applied from the last to the first.
        params = [*own, format_option, *_COMMON]
        group.add_command(_Command(name, callback=run, params=params, help=function.__doc__))
        return function

    return register


def execute(function: Callable[[], Awaitable[Answer | Written]], common: Common) -> int:
    """Run it, write its answer, and say how it ended."""
    import asyncio  # noqa: PLC0415  not needed to show help

    set_up_logging(verbose=common.verbose)
    try:
        if common.output is not None:
            check_output(common.output)
        return int(asyncio.run(_answer(function, common)))
    except KeyboardInterrupt:
        complain("interrupted; what was begun is recorded, and the next sweep goes on from there")
        return INTERRUPTED
    except LinkguardError as error:
        return int(_failed(error))
    except Exception as error:  # noqa: BLE001  whatever else it is, a person gets one line and not a traceback
        complain(f"this should not have happened ({type(error).__name__}): {REPORT_AT}")
        for line in "".join(traceback.format_exception(error)).splitlines() if common.verbose else ():
            complain(line)
        return int(ExitCode.INCOMPLETE)


async def _answer(function: Callable[[], Awaitable[Answer | Written]], common: Common) -> ExitCode:
    answer = await function()
    if isinstance(answer, Answer):
        _write(answer, common)
    LOGGER.info("exit code %d", answer.code)
    return answer.code


def _write(answer: Answer, common: Common) -> None:
    if common.format == Format.JSON:
        from shared.report.json_text import json_text  # noqa: PLC0415  where it is asked for

        text = json_text(answer.document)
    else:
        text = answer.text(style_of(sys.stdout, common.environ) if common.output is None else PLAIN)
    if common.output is None:
        say(text)
        return
    with open_output(common.output) as file:
        file.write(text)


def _failed(error: LinkguardError) -> ExitCode:
    match error:
        case ConfigError(problems=problems):
            complain(*problems)
            return ExitCode.USAGE
        case AllowlistError(source=source, problems=places):
            complain(f"{source} is not a valid allowlist", *(f"{source}: {place}" for place in places))
            return ExitCode.USAGE
        case InvalidIdError():
            complain(str(error))
            return ExitCode.USAGE
        case _:
            # What Azure's failures say ends with what to do about them.
            again = "; the same command later may do" if error.retryable and not isinstance(error, AzureError) else ""
            complain(f"{error}{again}")
            return ExitCode.INCOMPLETE
