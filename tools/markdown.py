"""What the checks need of a Markdown page: its headings' anchors, its links, its tables, its code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

_PARSER: Final = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block."""

    line: int
    """1-based, of its opening fence."""
    language: str
    """What follows the fence; "" where nothing does."""
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link's or an image's destination."""

    line: int
    """1-based, of the paragraph that it is in."""
    target: str


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row, its header excepted."""

    section: str
    """The last heading above it; "" where there is none."""
    cells: tuple[str, ...]
    """As written."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, read."""

    anchors: frozenset[str]
    """As GitHub makes them from headings, and those that the page sets itself."""
    links: tuple[Link, ...]
    rows: tuple[Row, ...]
    code_blocks: tuple[CodeBlock, ...]
    code_spans: tuple[str, ...]
    """Inline code."""


def read_page(text: str) -> Page:
    """Parse ``text`` as CommonMark with tables."""
    tokens = _PARSER.parse(text)
    inline = list(_inline(tokens))
    return Page(
        anchors=frozenset(_anchors(tokens)) | frozenset(re.findall(r'<a (?:id|name)="([^"]+)"', text)),
        links=tuple(Link(line, target) for line, child in inline if (target := _target(child))),
        rows=tuple(_rows(tokens)),
        code_blocks=tuple(
            CodeBlock(_line(token), token.info.strip(), token.content) for token in tokens if token.type == "fence"
        ),
        code_spans=tuple(child.content for _, child in inline if child.type == "code_inline"),
    )


def _line(token: Token) -> int:
    return (token.map or [0])[0] + 1


def _inline(tokens: list[Token]) -> Iterator[tuple[int, Token]]:
    for token in tokens:
        for child in token.children or ():
            yield _line(token), child


def _target(token: Token) -> str:
    match token.type:
        case "link_open":
            return str(token.attrs.get("href", ""))
        case "image":
            return str(token.attrs.get("src", ""))
        case _:
            return ""


def _words(heading: Token) -> str:
    return "".join(child.content for child in heading.children or () if child.type in {"text", "code_inline"}).strip()


def _anchors(tokens: list[Token]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            slug = re.sub(r"[^\w\- ]", "", _words(content).lower()).replace(" ", "-")
            count = seen.get(slug, 0)
            seen[slug] = count + 1
            yield f"{slug}-{count}" if count else slug


def _rows(tokens: list[Token]) -> Iterator[Row]:
    section, cells = "", list[str]()
    for opening, content in pairwise(tokens):
        match opening.type:
            case "heading_open":
                section = _words(content)
            case "tr_open":
                cells = []
            case "td_open":
                cells.append(content.content)
            case "tr_close" if cells:
                yield Row(section, tuple(cells))
            case _:
                pass
