"""Charts as SVG, by svg.py: typed elements, no style or script of their own, colours from the page's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import svg
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.report.html.chart import Chart


_ANCHORS: Final[Mapping[tuple[int, int], Literal["start", "end"]]] = {
    (0, 2): "start",
    (1, 2): "end",
    (0, 3): "start",
    (2, 3): "end",
}
"""The first and the last of several times end where the chart does."""


def drawn(chart: Chart, label: str) -> Markup:
    """The chart; ``label`` is what a screen reader says in its place."""
    picture = svg.SVG(
        class_=["chart"],
        viewBox=svg.ViewBoxSpec(0, 0, chart.width, chart.height),
        extra={"role": "img", "aria-label": escape(label)},
        elements=list(_elements(chart)),
    )
    # svg.py leaves escaping to its callers: all text in the drawing goes through escape here.
    return Markup(picture)  # noqa: S704  see above


def _elements(chart: Chart) -> Iterator[svg.Element]:
    for tick in chart.up:
        yield svg.Line(class_=["grid"], x1=chart.left, x2=chart.right, y1=tick.at, y2=tick.at)
        yield svg.Text(class_=["tick"], x=chart.left - 6, y=tick.at + 3.5, text_anchor="end", text=escape(tick.text))
    for part in chart.segments:
        yield svg.Rect(
            class_=[f"fill-{part.css}"],
            x=part.x,
            y=part.y,
            width=part.width,
            height=part.height,
            rx=1,
            elements=[svg.Title(text=escape(part.title))],
        )
    for place, tick in enumerate(chart.across):
        yield svg.Text(
            class_=["tick"],
            x=tick.at,
            y=chart.base + 16,
            text_anchor=_ANCHORS.get((place, len(chart.across)), "middle"),
            text=escape(tick.text),
        )
