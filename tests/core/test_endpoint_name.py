"""Templates for the name of a private endpoint."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.arm_id import fold_case
from shared.core.endpoint_name import MAX_TEMPLATE_LENGTH, Template, fits, has_link
from shared.core.errors import InvalidTemplateError

names = st.text(st.sampled_from("abAB-_.1*{}éß"), min_size=1, max_size=6)
"""Names with what has a meaning in a template: there they are plain characters."""
template_parts = st.lists(st.sampled_from(["{link}", "{signalr}", "*", "a", "B-", "link", "é"]), min_size=1, max_size=6)
templates = template_parts.map("".join).filter(lambda text: "**" not in text)


def by_definition(template: str, link: str, signalr: str, name: str) -> bool:
    """What fits means, said with a regular expression."""
    tokens = re.split(r"(\{link\}|\{signalr\}|\*)", template)
    known = {"{link}": re.escape(fold_case(link)), "{signalr}": re.escape(fold_case(signalr)), "*": "[^/]*"}
    pattern = "".join(known.get(token, re.escape(fold_case(token))) for token in tokens)
    return re.fullmatch(pattern, fold_case(name)) is not None


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{link}", "func-pe"),
        ("{link}", "FUNC-PE"),
        ("{signalr}-{link}", "Contoso-Signalr-func-pe"),
        ("{link}-*", "func-pe-7f3a"),
        ("{link}*", "func-pe"),
        ("*{link}", "func-pe"),
        ("*{link}*", "x-func-pe-func-pe-y"),
        ("pe-of-{signalr}", "pe-of-contoso-signalr"),
        ("*", "anything"),
        ("a*a", "aa"),
        ("*a*ab*", "xaab"),
    ],
)
def test_a_template_fits_what_it_stands_for(template: str, name: str) -> None:
    """Placeholders are the names of the link and its service, ``*`` any run; case does not count."""
    assert fits(template, "func-pe", "contoso-signalr", name)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{link}", "func-pe2"),
        ("{link}", "xfunc-pe"),
        ("{link}", "func_pe"),
        ("{link}", ""),
        ("*", ""),
        ("{link}-*", "func-pe"),
        ("a*a", "a"),
        ("*ab*ab*", "xaby"),
        ("*ab*b", "xab"),
        ("a*a*a", "aa"),
        ("{signalr}-{link}", "func-pe-contoso-signalr"),
        ("*", "group/func-pe"),
        ("{link}*", "func-pe/x"),
    ],
)
def test_a_template_fits_nothing_else(template: str, name: str) -> None:
    """A name that is longer, shorter, in another order, empty or with a slash does not fit."""
    assert not fits(template, "func-pe", "contoso-signalr", name)


def test_text_that_is_called_like_a_placeholder_is_text() -> None:
    """``link`` without braces stands for the word, not for the link's name."""
    assert Template.parse("link").parts == ("link",)
    assert fits("link", "func-pe", "contoso-signalr", "link")
    assert not fits("link", "func-pe", "contoso-signalr", "func-pe")
    assert not has_link("signalr-link")


@pytest.mark.parametrize(("link", "name"), [("a*", "abc"), ("{signalr}", "contoso-signalr"), ("*", "func-pe")])
def test_a_name_is_never_read_as_a_template(link: str, name: str) -> None:
    """Whoever names a link cannot bring a wildcard or a placeholder in."""
    assert not fits("{link}", link, "contoso-signalr", name)
    assert fits("{link}", link, "contoso-signalr", link)


def test_a_kelvin_sign_is_no_k() -> None:
    """Names that Azure keeps apart stay apart."""
    assert not fits("{link}", "link", "s", "lin\N{KELVIN SIGN}")
    assert fits("{link}", "É", "s", "é")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "is empty"),
        ("{lnk}", "did you mean {link}?"),
        ("{Link}", "did you mean {link}?"),
        ("{target}", "there are {link} and {signalr}"),
        ("{}", "there are {link} and {signalr}"),
        ("{link", "without its partner"),
        ("link}", "without its partner"),
        ("{{link}}", "without its partner"),
        ("{link}**", "one * already"),
        ("***", "one * already"),
        ("{link}/x", "'/'"),
        ("{link} x", "' '"),
        ("{link}\n", r"'\\n'"),
        ("{link}\x1b[2J", r"'\\x1b'"),
        ("{link}\ud800", r"'\\ud800'"),
        ("{li\x9bnk}", r"\\x9b"),
        ("x" * (MAX_TEMPLATE_LENGTH + 1), "at most 128"),
    ],
)
def test_a_template_that_means_nothing_is_refused(template: str, said: str) -> None:
    """With a sentence that says why, on one line whatever the template holds."""
    with pytest.raises(InvalidTemplateError, match=said.replace("?", r"\?").replace("{", r"\{").replace("*", r"\*")) as caught:
        Template.parse(template)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("template", "expected"), [("{link}", True), ("a-{link}-*", True), ("{signalr}", False), ("*", False)])
def test_a_template_tells_whether_it_names_the_link(template: str, *, expected: bool) -> None:
    """Without ``{link}`` one endpoint's name fits every link of a service."""
    assert has_link(template) is expected


def test_many_wildcards_cost_little() -> None:
    """A name that nearly fits many wildcards is answered without going back."""
    assert not fits("*a" * 60 + "b", "l", "s", "a" * 100_000)


@given(st.text(max_size=40))
def test_any_text_is_a_template_or_refused_by_name(text: str) -> None:
    """Nothing but InvalidTemplateError comes out, whatever goes in."""
    try:
        template = Template.parse(text)
    except InvalidTemplateError:
        return
    assert template.parts


@given(templates, names, names, st.text(max_size=8))
def test_no_template_fits_across_a_slash(template: str, link: str, signalr: str, tail: str) -> None:
    """A name is one segment of an id, so one with a slash fits nothing."""
    for name in (f"{link}/{tail}", f"/{link}", f"{link}/", f"{signalr}/{link}{tail}"):
        assert not fits(template, link, signalr, name)


@given(templates, names, names, names | st.just(""))
def test_fits_is_what_its_definition_says(template: str, link: str, signalr: str, name: str) -> None:
    """The linear search finds just what a backtracking one finds."""
    assume(name)
    assert fits(template, link, signalr, name) is by_definition(template, link, signalr, name)


@given(template_parts.filter(lambda parts: "**" not in "".join(parts)), names, names, st.data())
def test_what_a_template_makes_fits_it(parts: list[str], link: str, signalr: str, data: st.DataObject) -> None:
    """Whatever the wildcards stand for, and in any case."""
    made = {"{link}": link, "{signalr}": signalr}
    name = "".join(data.draw(names | st.just("")) if part == "*" else made.get(part, part) for part in parts)
    assume(name)
    assert fits("".join(parts), link, signalr, name)
    assert fits("".join(parts), link, signalr, fold_case(name))
