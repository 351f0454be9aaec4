"""Fills the templates. Every value is escaped by Jinja2; style and script are let in by their hashes and by nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined

from shared.report.html.drawing import drawn
from shared.report.html.form import Slot, as_json, each, given, packed
from shared.report.html.view import make_view

if TYPE_CHECKING:
    from shared.core.report_data import ReportData

_FIRST: Final = {"links": 50, "held": 10, "findings": 50, "traffic": 6, "records": 50}
"""Rows and cards that are shown at once; the script turns the pages."""


@dataclass(frozen=True, slots=True)
class _Assets:
    style: str
    script: str
    policy: str


@cache
def _assets() -> _Assets:
    style, script = _read("report.css"), _read("report.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return _Assets(style, script, policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return files("shared.report.html").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"drawn": drawn, "each": each, "given": given, "packed": packed}
    # tojson escapes what it gets for a script element, as it does with the standard library's.
    environment.policies |= {"json.dumps_function": as_json, "json.dumps_kwargs": {}}
    environment.globals["slot"] = Slot()
    return environment


def content_security_policy() -> str:
    """What the page may do: nothing but apply its own style and run its own script. For a header, as it is in the page."""
    return f"{_assets().policy}; frame-ancestors 'none'"


def report_html(data: ReportData) -> str:
    """The page. It needs no network and no other file."""
    assets = _assets()
    template = _environment().get_template("report.html.j2")
    return template.render(
        view=make_view(data),
        style=assets.style,
        script=assets.script,
        policy=assets.policy,
        first=_FIRST,
    )
