"""The strict reading of YAML."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.problem import Problem
from shared.core.yaml_tree import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    MAX_PROBLEMS,
    Entry,
    Kind,
    Mapping,
    Node,
    Refused,
    Scalar,
    Sequence,
    read_tree,
    shown,
)


def only(text: str) -> Node:
    """The tree of a document that has no problem."""
    tree, problems = read_tree(text)
    assert problems == ()
    assert tree is not None
    return tree


def value_of(text: str) -> Scalar:
    tree = only(f"key: {text}\n")
    assert isinstance(tree, Mapping)
    value = tree.entries["key"].value
    assert isinstance(value, Scalar)
    return value


def plain(node: Node) -> object:
    """A tree as JSON would have it: every scalar's text."""
    match node:
        case Scalar(text=text):
            return text
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Mapping(entries=entries):
            return {key: plain(entry.value) for key, entry in entries.items()}
        case Refused():
            pytest.fail("what is refused has a problem")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("yes", Kind.TEXT),
        ("no", Kind.TEXT),
        ("on", Kind.TEXT),
        ("2027-06-30", Kind.TEXT),
        ("2027-06-30T10:00:00Z", Kind.TEXT),
        ("12:30:45", Kind.TEXT),
        ("1_000", Kind.TEXT),
        ("=", Kind.TEXT),
        ("'true'", Kind.TEXT),
        ('"1"', Kind.TEXT),
        ('""', Kind.TEXT),
        ("true", Kind.TRUTH),
        ("False", Kind.TRUTH),
        ("1", Kind.NUMBER),
        ("-1", Kind.NUMBER),
        ("0o17", Kind.NUMBER),
        ("0xff", Kind.NUMBER),
        ("1.", Kind.NUMBER),
        (".5", Kind.NUMBER),
        ("1e3", Kind.NUMBER),
        ("-.inf", Kind.NUMBER),
        (".nan", Kind.NUMBER),
        ("null", Kind.NOTHING),
        ("~", Kind.NOTHING),
        ("", Kind.NOTHING),
    ],
)
def test_a_plain_scalar_is_what_the_core_schema_says(text: str, kind: Kind) -> None:
    """YAML 1.2: ``yes``, dates and sexagesimals are texts, and quotes make a text of anything."""
    assert value_of(text).kind is kind


def test_every_node_knows_its_place() -> None:
    """Lines and columns count from 1; an empty value is at its key, an empty item behind its dash."""
    tree = only("# first\na: 1\nlist:\n  - x\n  -\n\n  # between\n  - {b: }\nc:\n\nd: ''\n")
    assert isinstance(tree, Mapping)
    places = {key: (entry.value.line, entry.value.column) for key, entry in tree.entries.items()}
    assert places == {"a": (2, 4), "list": (4, 3), "c": (9, 1), "d": (11, 4)}
    items = tree.entries["list"].value
    assert isinstance(items, Sequence)
    assert [(item.line, item.column) for item in items.items] == [(4, 5), (5, 4), (8, 5)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_count_the_same(end: str) -> None:
    """Also where a text goes over several lines."""
    tree = only(f"a: x{end}  y{end}b: 1{end}")
    assert isinstance(tree, Mapping)
    assert plain(tree) == {"a": "x y", "b": "1"}
    assert tree.entries["b"].value.line == 3


def test_a_byte_order_mark_at_the_start_is_nothing() -> None:
    """Some editors write one."""
    tree = only("\ufeffa: 1")
    assert isinstance(tree, Mapping)
    assert tree.entries["a"] == Entry(
        key=Scalar(line=1, column=1, kind=Kind.TEXT, text="a"), value=Scalar(line=1, column=4, kind=Kind.NUMBER, text="1")
    )


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("- a: 1\n  b: 2\n", "a: 1\nb: 2"),
        ("  -   a: 1 # why\n      b:\n      - 2\n", "a: 1 # why\nb:\n- 2"),
        ("-\n  # above\n  a: 1\n  # inside\n  b: [1,\n    2]  # last\n\n  # below\n- c", "a: 1\n# inside\nb: [1,\n  2]  # last"),
        ("- a: 1\n# at the margin\n  b: 2\n", "a: 1\n# at the margin\nb: 2"),
        ("- {a: 1, b: 2} # c\n", "{a: 1, b: 2}"),
        ("- {a: 1,\n   b: 2}\n", "{a: 1,\n b: 2}"),
        ("[{a: 1}, {b: 2}]", "{a: 1}"),
        ("- a: 'x\n\n    y'\n", "a: 'x\n\n  y'"),
        ("- a:\n  b:\n\n\n- c", "a:\nb:"),
        ("- a: ''\r\n  b: ''\r\n", "a: ''\nb: ''"),
    ],
)
def test_a_mapping_has_its_own_source(text: str, source: str) -> None:
    """As written, without the margin and without the comments around it."""
    tree = only(text)
    assert isinstance(tree, Sequence)
    first = tree.items[0]
    assert isinstance(first, Mapping)
    assert first.source == source


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "   \n"])
def test_an_empty_document_has_no_tree_and_no_problem(text: str) -> None:
    """What that means is for the reader of the tree to say."""
    assert read_tree(text) == (None, ())


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: &x 1\n", 1, 4, "an anchor"),
        ("a: &x {b: 1}\n", 1, 4, "an anchor"),
        ("a:\n  - *x\n", 2, 5, "an alias"),
        ("<<: {a: 1}\n", 1, 1, "a merge key"),
        ("b:\n  '<<': 1\n", 2, 3, "a merge key"),
        ("a: !!str 1\n", 1, 4, "a tag"),
        ("a: !python/object:os.system [x]\n", 1, 4, "a tag"),
        ("a: ! x\n", 1, 4, "a tag"),
        ("!!map\na: 1\n", 1, 1, "a tag"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "'a' is here twice, first in line 1"),
        ('a: 1\n"a": 2\n', 2, 1, "'a' is here twice"),
        ("a: {b: 1, b: 2}\n", 1, 11, "'b' is here twice"),
        ("a: |\n  x\n", 1, 4, "a block text"),
        ("a: >-\n  x\n", 1, 4, "a block text"),
        ("? [a]\n: 1\n", 1, 3, "cannot be a key"),
        ("{a: 1}: 2\n", 1, 1, "cannot be a key"),
        ("%YAML 1.1\n---\na: yes\n", 1, 1, "a directive"),
        ("# x\n%FOO bar\n---\na: 1\n", 2, 1, "a directive"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document"),
        ("a: 1\n...\nb: 2\n", 3, 1, "document start"),
        ("a: [1, 2\nb: 3\n", 2, 2, "this is not YAML"),
        ("a: b: c\n", 1, 5, "this is not YAML"),
        ("a: 'x\n", 2, 1, "this is not YAML"),
        ("a:\n\t- 1\n", 2, 1, "this is not YAML"),
        ("a: *\n", 1, 5, "this is not YAML"),
        ("a: @x\n", 1, 4, "this is not YAML"),
        ('a: "\\q"\n', 1, 6, "this is not YAML"),
        ('a: "\\UFFFFFFFF"\n', 1, 1, "this is not YAML"),
        ("a: x\x00y\n", 1, 5, "U+0000"),
        ("a: 1\nb: \x1b[31m\n", 2, 4, "U+001B"),
        ("a: x\x85b: 1\n", 1, 5, "U+0085"),
        ("a: x\u2028b: 1\n", 1, 5, "U+2028"),
        ("a: 1\r\nb: \u202ex\n", 2, 4, "U+202E"),
        ("a: x\ufeff\n", 1, 5, "U+FEFF"),
        ("a: \ud800\n", 1, 4, "U+D800"),
        ("[" * (MAX_DEPTH + 1), 1, MAX_DEPTH + 1, "deep"),
        ("- " * (MAX_DEPTH + 1), 1, 2 * MAX_DEPTH + 1, "deep"),
    ],
)
def test_what_is_refused_is_refused_at_its_place(text: str, line: int, column: int, said: str) -> None:
    """With one sentence on one line."""
    _, problems = read_tree(text)
    assert [(problem.line, problem.column) for problem in problems] == [(line, column)]
    assert said in problems[0].message
    assert problems[0].message.isprintable()


def test_every_problem_is_reported() -> None:
    """Those before a place that is no YAML, too."""
    _, problems = read_tree("a: &x 1\nb: *x\nc: !t 1\na: 2\nd: [\n")
    assert [(problem.line, problem.column) for problem in problems] == [(1, 4), (2, 4), (3, 4), (4, 1), (6, 1)]


def test_a_document_that_breaks_off_has_no_tree() -> None:
    """Half of it must not pass for the whole."""
    tree, problems = read_tree("a: 1\nb: [\n")
    assert tree is None
    assert problems


def test_a_billion_laughs_are_not_laughed() -> None:
    """No alias is followed, so nothing grows."""
    lines = ["a0: &a0 [lol, lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    _, problems = read_tree("\n".join(lines))
    assert len(problems) == 10 + 9 * 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#" * (MAX_BYTES + 1), "more than 1048576 bytes"),
        ("é" * (MAX_BYTES // 2 + 1), "more than 1048576 bytes"),
        ("[" + "a," * (MAX_NODES + 1) + "]", "more than 100000 keys and values"),
    ],
)
def test_a_document_that_is_too_large_is_refused(text: str, said: str) -> None:
    """Before it costs much."""
    tree, problems = read_tree(text)
    assert tree is None
    assert [said in problem.message for problem in problems] == [True]


def test_after_a_thousand_problems_the_rest_is_not_looked_at() -> None:
    """And the last one says so."""
    _, problems = read_tree("a: 1\n" * (MAX_PROBLEMS + 50))
    assert len(problems) == MAX_PROBLEMS + 1
    assert "more problems" in problems[-1].message


def test_what_is_shown_is_quoted_and_cut() -> None:
    """A terminal, a log line or a page takes no harm from it."""
    assert shown("a\x1b[2J\n") == r"'a\x1b[2J\n'"
    assert len(shown("x" * 1_000_000)) < 300


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """Nothing is raised, and each problem has a place inside the text and a sentence on one line."""
    _, problems = read_tree(text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    for problem in problems:
        assert 1 <= problem.line <= lines + 1
        assert problem.column >= 1
        assert problem.message.isprintable()
    assert list(problems) == sorted(problems)


yaml_like = st.lists(
    st.sampled_from(
        [
            *"-:?,[]{}#&*!|>'\"%@`~ \n\t",
            "\n  ",
            "- ",
            ": ",
            "a",
            "<<: ",
            "---\n",
            "...\n",
            "\\u0041",
            "true",
            "\ufeff",
            "\r\n",
            "%YAML 1.1\n",
        ]
    ),
    max_size=40,
).map("".join)


@given(yaml_like)
def test_anything_like_yaml_is_read(text: str) -> None:
    """The indicators in any order."""
    tree, problems = read_tree(text)
    assert all(isinstance(problem, Problem) for problem in problems)
    assert tree is None or problems or isinstance(plain(tree), str | list | dict)


json_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_values: st.SearchStrategy[object] = st.recursive(
    json_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_texts.filter("<<".__ne__), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_is_read_as_what_it_says(value: object) -> None:
    """Every JSON document of texts, lists and mappings comes back as it went in: ASCII escapes included."""
    assert plain(only(json.dumps(value))) == value
