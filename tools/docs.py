"""The documentation, held to the code: ``python -m tools.docs``.

Links and anchors resolve; no row of a table is cut off; the settings, commands, options and exit codes that the pages name
are those that there are, and none is left out; the pictures are what the code is; no committed file names a package
registry's host or a path of somebody's machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote

from tools import pictures
from tools.markdown import Page, read_page

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from shared.config import Setting

ROOT: Final = Path(__file__).parent.parent
README: Final = "README.md"
SAMPLE: Final = "local.settings.sample.json"
COMMAND: Final = "linkguard"
EXIT_CODES: Final = "Exit codes"
"""The README's section whose table has them in its first column."""

_SETTING: Final = re.compile(r"\bLINKGUARD_[A-Z0-9_]*[A-Z0-9]\b")
_UNWANTED: Final = {
    "the host of a package registry": re.compile(
        r"\b(?:pypi[.]org|pythonhosted[.]org|npmjs[.](?:org|com)|yarnpkg[.]com|deb[.]debian[.]org)\b"
    ),
    # /home/site is where Azure runs an app.
    "a path of somebody's machine": re.compile(
        r"(?<![\w.:/$})<>-])/(?:root|work|tmp|Users|home(?!/site\b))(?:/|(?![\w*-]))|[A-Za-z]:\\+Users\\"
    ),
}


def links(pages: Mapping[str, Page], files: Collection[str]) -> Iterator[str]:
    """Every link into the repository names a file that is there, and an anchor that it has.

    ``pages`` by path relative to the repository; ``files`` are all of its files.
    """
    folders = {str(parent) for file in files for parent in Path(file).parents}
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z][a-z0-9+.-]*:", link.target):
                continue
            name, _, anchor = unquote(link.target).partition("#")
            where = f"{path}:{link.line}: {link.target}"
            if name.startswith("/"):
                yield f"{where}: is no relative path"
                continue
            target = _normal(Path(path).parent / name) if name else path
            if target not in files and target not in folders:
                yield f"{where}: there is no such file"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{where}: {target} has no such heading"


def _normal(path: Path) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return str(Path(*parts))


def settings(texts: Mapping[str, str], readme: Page, known: Sequence[Setting[Any]]) -> Iterator[str]:
    """Each setting has a row in the README and a value in the sample, with its default; nobody names a setting that is none.

    ``texts`` are the files that speak of settings by path, the sample among them.
    """
    sample = json.loads(texts[SAMPLE])["Values"]
    rows = {
        match[1]: row for row in readme.rows if row.cells and (match := re.fullmatch(r"`(LINKGUARD_\w+)`", row.cells[0].strip()))
    }
    for setting in known:
        if setting.name not in rows:
            yield f"{README}: no table has a row for `{setting.name}`"
        elif setting.default and f"`{setting.default}`" not in "|".join(rows[setting.name].cells[1:]):
            yield f"{README}: the row of `{setting.name}` does not give its default, `{setting.default}`"
        if setting.name not in sample:
            yield f"{SAMPLE}: {setting.name} is missing"
        elif setting.default and sample[setting.name] != setting.default:
            yield f"{SAMPLE}: {setting.name} is not its default, {setting.default}"
    names = {setting.name for setting in known}
    for path, text in texts.items():
        for name in sorted(set(_SETTING.findall(text)) - names):
            yield f"{path}: {name} is no setting"


class _Parameter(Protocol):
    opts: list[str]
    secondary_opts: list[str]


class CommandTree(Protocol):
    """A command as click builds it. One with ``commands`` is a group."""

    params: list[Any]


@dataclass(frozen=True, slots=True)
class Mention:
    """A place where a page shows the command line."""

    path: str
    text: str
    """From ``linkguard`` to the end of the line or of the inline code."""


def mentions(pages: Mapping[str, Page]) -> Iterator[Mention]:
    """Every ``linkguard ...`` in the pages' code."""
    for path, page in pages.items():
        for text in (*page.code_spans, *(line for block in page.code_blocks for line in block.text.splitlines())):
            for match in re.finditer(rf"(?:^|[\s$/]){COMMAND}(?= |$)([^#;&]*)", text):
                yield Mention(path, COMMAND + match[1].rstrip())


def commands(pages: Mapping[str, Page], root: CommandTree) -> Iterator[str]:
    """Each command is shown in the README, and each that a page shows exists, with the options that it shows."""
    leaves = dict(_leaves((), root))
    shown: set[tuple[str, ...]] = set()
    for mention in mentions(pages):
        for words in _spelled_out(mention.text.split()[1:]):
            path, problem = _follow(words, root)
            if problem:
                yield f"{mention.path}: `{mention.text}`: {problem}"
            elif mention.path == README:
                shown.add(path)
    for path in sorted(leaves.keys() - shown):
        yield f"{README}: `{' '.join((COMMAND, *path))}` is not shown"


def _leaves(path: tuple[str, ...], command: CommandTree) -> Iterator[tuple[tuple[str, ...], CommandTree]]:
    children: Mapping[str, CommandTree] | None = getattr(command, "commands", None)
    if children is None:
        yield path, command
    else:
        for name, child in children.items():
            if not getattr(child, "hidden", False):
                yield from _leaves((*path, name), child)


def _spelled_out(words: list[str]) -> Iterator[list[str]]:
    """``list|show ID`` is ``list ID`` and ``show ID``."""
    for position, word in enumerate(words):
        is_value = position > 0 and words[position - 1].startswith("--")
        if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word) and not is_value:
            for choice in word.split("|"):
                yield from _spelled_out([*words[:position], choice, *words[position + 1 :]])
            return
    yield words


def _follow(words: list[str], command: CommandTree) -> tuple[tuple[str, ...], str]:
    path: tuple[str, ...] = ()
    known = _options(command)
    rest = list(words)
    while (children := getattr(command, "commands", None)) is not None and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        if rest[0] not in children:
            return path, f"{' '.join((COMMAND, *path))} has no command {rest[0]}"
        command = children[rest[0]]
        path = (*path, rest.pop(0))
        known |= _options(command)
    for word in rest:
        option = re.match(r"\[?(--[a-z][a-z-]*)", word)
        if option and option[1] not in known:
            return path, f"{' '.join((COMMAND, *path))} has no option {option[1]}"
    return path, ""


def _options(command: CommandTree) -> set[str]:
    parameters: list[_Parameter] = command.params
    return {"--help", *(name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts))}


def tables(texts: Mapping[str, str]) -> Iterator[str]:
    """Every row of a page's table has as many cells as its head: what is beyond that is not shown."""
    for path, text in texts.items():
        if not path.endswith(".md"):
            continue
        head, fenced = 0, False
        for number, line in enumerate(text.splitlines(), start=1):
            fenced ^= line.lstrip().startswith("```")
            if fenced or not line.startswith("|"):
                head = 0
                continue
            cells = len(re.findall(r"(?<!\\)\|", line)) - 1
            head = head or cells
            if cells != head:
                yield f"{path}:{number}: {cells} cells under a head of {head}: a bar in a cell is written \\|"


def exit_codes(readme: Page, codes: Collection[int]) -> Iterator[str]:
    """The README's table of exit codes has exactly the code's."""
    shown = {
        int(match[1]) for row in readme.rows if row.section == EXIT_CODES and (match := re.match(r"`?(\d+)`?", row.cells[0]))
    }
    for code in sorted(set(codes) - shown):
        yield f"{README}: exit code {code} is not in the table of section {EXIT_CODES!r}"
    for code in sorted(shown - set(codes)):
        yield f"{README}: no command exits with {code}"


def unwanted(texts: Mapping[str, str]) -> Iterator[str]:
    """No file names a package registry's host, or a path that only one machine has."""
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            for what, pattern in _UNWANTED.items():
                if match := pattern.search(line):
                    yield f"{path}:{number}: {match[0]!r} is {what}"


def repository_texts(root: Path) -> dict[str, str | None]:
    """Every file that is committed or would be, by its path; None for one that is no text."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True).stdout.split("\0")
    texts: dict[str, str | None] = {}
    for name in sorted(filter(None, names)):
        path = root / name
        if path.is_file():
            try:
                texts[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                texts[name] = None
    return texts


def _speaks_of_settings(path: str) -> bool:
    return path.endswith((".md", ".bicep", ".bicepparam", ".yaml", ".yml", ".json")) or path == "function_app.py"


def problems(root: Path) -> Iterator[str]:
    """Everything that is wrong with the repository's documentation."""
    from shared.cli import ExitCode, app  # noqa: PLC0415  the other checks' functions work without the product
    from shared.config import SETTINGS  # noqa: PLC0415

    files = repository_texts(root)
    texts = {path: text for path, text in files.items() if text is not None}
    pages = {path: read_page(text) for path, text in texts.items() if path.endswith(".md")}
    yield from links(pages, files.keys())
    yield from settings({path: text for path, text in texts.items() if _speaks_of_settings(path)}, pages[README], SETTINGS)
    yield from commands(pages, app)
    yield from tables(texts)
    yield from exit_codes(pages[README], [int(code) for code in ExitCode])
    yield from pictures.problems(texts[pictures.PAGE], pictures.drawn(root))
    yield from unwanted(texts)


def main() -> int:
    """Exit code 1 where anything is wrong."""
    found = list(problems(ROOT))
    print(*(f"docs: {problem}" for problem in found), sep="\n", file=sys.stderr, end="\n" if found else "")
    if not found:
        print("docs: links, tables, settings, commands, exit codes, pictures and paths are right")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
