"""Untrusted text: what is shown can be seen, means one thing, and does nothing."""

from __future__ import annotations

import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.report.escape import LONGEST, clean, quote, shell, shorten, value

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)
"""Any code points, lone surrogates too."""
HOSTILE = {
    "an ANSI escape": ("\x1b[2J\x1b[31mall is well", r"\x1b[2J\x1b[31mall is well"),
    "a C1 control": ("\x9b31m", r"\x9b31m"),
    "line ends": ("a\r\nHELD  b\u2028c\x85", r"a\x0d\x0aHELD  b\u2028c\x85"),
    "a backspace": ("no\x08\x08yes", r"no\x08\x08yes"),
    "a directional override": ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
    "zero width": ("plea\u200bse\ufeff\u00ad", r"plea\u200bse\ufeff\xad"),
    "a filler that is a letter": ("a\u3164b", r"a\u3164b"),
    "combining marks": ("e\u0301\u20dd", r"e\u0301\u20dd"),
    "a wide space": ("a\u3000b\u00a0c", r"a\u3000b\xa0c"),
    "a lone surrogate": ("\ud800", r"\ud800"),
    "a tag beyond the first plane": ("\U000e0041", r"\U000e0041"),
    "what looks like an escape": (r"\x1b", r"\\x1b"),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_cannot_be_seen_is_spelled_out(text: str, shown: str) -> None:
    """Control, format, separator and combining characters become escapes."""
    assert clean(text) == shown


@pytest.mark.parametrize("text", ["please approve", "bitte prüfen: größer", "承認してください", "[bold]red[/bold]", ""])
def test_what_can_be_seen_stays(text: str) -> None:
    """Letters of any alphabet are as they are, and so is what another program's markup would be."""
    assert clean(text) == text


def test_letters_that_look_alike_are_told_apart_on_demand() -> None:
    """A Cyrillic letter in a Latin word is spelled out where two texts that look the same differ."""
    assert clean("ple\u0430se", ascii_only=True) == r"ple\u0430se"


@given(ANYTHING)
def test_cleaned_text_is_one_visible_line(text: str) -> None:
    """Nothing is left that a terminal acts on, or that UTF-8 cannot say."""
    shown = clean(text)
    assert shown.isprintable()
    assert not {unicodedata.category(character) for character in shown} & {"Mn", "Me", "Cf", "Cc", "Zl", "Zp", "Cs"}
    assert clean(text, ascii_only=True).isascii()
    shown.encode()


@given(ANYTHING, ANYTHING)
def test_different_texts_are_shown_differently(one: str, other: str) -> None:
    """What is shown is the text, spelled: no two look the same by their escapes."""
    assert (clean(one) == clean(other)) == (one == other)
    assert (quote(one) == quote(other)) == (one == other)


def test_quotation_marks_show_where_a_text_ends() -> None:
    """Emptiness, spaces at the ends, and quotation marks of its own."""
    assert quote("") == '""'
    assert quote(" please approve ") == '" please approve "'
    assert quote('a" (agrees)') == r'"a\" (agrees)"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("func-pe", "func-pe"),
        ("/subscriptions/x/y.z", "/subscriptions/x/y.z"),
        ("", '""'),
        ("two words", '"two words"'),
        ("\x1b[0m", r'"\x1b[0m"'),
        ("ünder", '"ünder"'),
        ('"', r'"\""'),
    ],
)
def test_a_facts_value(text: str, shown: str) -> None:
    """One plain word is as it is; everything else is in quotation marks, so that it cannot pass for Linkguard's own words."""
    assert value(text) == shown


def test_a_huge_text_is_cut_and_says_so() -> None:
    """A screen is not filled by whoever asked for a connection."""
    huge = "A" * 1_000_000
    for shown in (quote(huge), value(huge), shorten(huge)):
        assert len(shown) < LONGEST + 60
        assert "1000000 characters" in shown


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=50))
def test_a_shell_reads_a_quoted_word_as_it_was(words: list[str]) -> None:
    """What is pasted from a command to type next is one word, whatever is in it."""
    script = "printf '%s\\0' " + " ".join(map(shell, words)) if words else ":"
    assert all(shell(word).isprintable() for word in words)
    environment = {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=environment, timeout=30, check=True)
    assert done.stdout.decode() == "".join(f"{word}\0" for word in words)


@pytest.mark.parametrize(
    "word", ["$(reboot)", "`reboot`", "a;reboot", "a|b", "a b", "a'b", "-rf", "a\nreboot", "\u202ea", "", "é\xad"]
)
def test_a_shell_runs_nothing_of_a_quoted_word(word: str) -> None:
    """Substitutions, separators and quotation marks are text."""
    script = f"printf '%s' {shell(word)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env={"LC_ALL": "C.UTF-8"}, timeout=30, check=True)
    assert done.stdout.decode() == word
