"""What every command shares: its options, how its answer is written, and which exit code a failure becomes."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Concatenate, get_type_hints

import typer

from shared.cli.terminal import LOGGER, check_output, complain, open_output, say, set_up_logging, style_of
from shared.core.errors import AllowlistError, AzureError, ConfigError, InvalidIdError, LinkguardError
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


def commands(about: str | None = None) -> typer.Typer:
    """What a module's commands are registered in: a group that is ``about`` something, or the one command of its name."""
    group = typer.Typer(help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    if about is not None:
        group.callback()(_begin)  # Else typer makes a group with one command that command.
    return group


def _begin() -> None:
    """Nothing is done before a group's command."""


type Command[**P] = Callable[Concatenate[Common, P], Awaitable[Answer | Written]]

JsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write the answer to this file instead of standard output.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Say on standard error what is done.")]

_COMMON = {
    "json_": (JsonOption, False),
    "output": (OutputOption, None),
    "verbose": (VerboseOption, False),
}


def command[**P](group: typer.Typer, name: str, *, formats: type[StrEnum] = Format) -> Callable[[Command[P]], Command[P]]:
    """Make an async function a command of ``group``, with the common options added to its own.

    ``formats`` are those of its ``--format``, ``json`` among them; the first is the default.

    The function takes :class:`Common` first and then its own parameters, annotated as typer wants them. It returns an
    answer or raises; here is the one place where that becomes output and an exit code.
    """

    def register(function: Command[P]) -> Command[P]:
        hints = get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[1:]
        parameters = [one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        parameters += [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for option, (annotation, default) in {"format_": _format_option(formats), **_COMMON}.items()
        ]

        def run(**options: Any) -> None:  # noqa: ANN401  typer has checked them against the signature
            as_json, format_ = options.pop("json_"), options.pop("format_")
            common = Common(
                environ=os.environ,
                format=formats(Format.JSON.value) if as_json else format_,
                output=options.pop("output"),
                verbose=options.pop("verbose"),
            )
            raise typer.Exit(execute(functools.partial(function, common, **options), common))

        # typer reads both.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        group.command(name, help=inspect.getdoc(function))(run)
        return function

    return register


def _format_option(formats: type[StrEnum]) -> tuple[object, StrEnum]:
    return Annotated[formats, typer.Option("--format", help="How the answer is written.")], next(iter(formats))


def execute(function: Callable[[], Awaitable[Answer | Written]], common: Common) -> int:
    """Run it, write its answer, and say how it ended."""
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
