"""ARM ids: read strictly, compared as Azure does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arm_id import MAX_ID_LENGTH, ArmId, fold_case
from shared.core.errors import InvalidIdError

if TYPE_CHECKING:
    from random import Random

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000a1"
SITE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/contoso/providers/Microsoft.Web/sites/contoso-func"

segments = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters="/?#%&\\"), min_size=1, max_size=12
).filter(lambda text: text not in {".", ".."})
pairs = st.lists(st.tuples(segments, segments), min_size=1, max_size=4).map(tuple)
ids = st.builds(ArmId, st.uuids().map(str), segments, segments, pairs)


@given(ids)
def test_an_id_is_read_back_as_it_was_written(id_: ArmId) -> None:
    """Spelling kept."""
    again = ArmId.parse(str(id_))
    assert (str(again), again.path, again.provider) == (str(id_), id_.path, id_.provider)


@given(ids, st.randoms(use_true_random=False))
def test_the_same_id_in_another_case_is_equal(id_: ArmId, random: Random) -> None:
    """It hashes, sorts and looks up the same: two spellings are one key."""
    text = str(id_)
    swapped = "".join(c.swapcase() if c.isascii() and random.random() < 0.5 else c for c in text)
    other = ArmId.parse(swapped)
    assert other == id_
    assert (hash(other), other.key) == (hash(id_), id_.key)
    assert not other < id_
    assert {id_: 1}[other] == 1


@pytest.mark.parametrize("word", ["resourcegroups", "RESOURCEGROUPS", "resourceGroups"])
def test_the_words_of_an_id_have_no_case(word: str) -> None:
    """As Azure returns them."""
    assert ArmId.parse(SITE.replace("resourceGroups", word).replace("subscriptions", "SUBSCRIPTIONS")) == ArmId.parse(SITE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "contoso-func",
        SITE[1:],
        SITE + "/",
        SITE + "/slots",
        SITE + "//x",
        SITE.replace(SUBSCRIPTION, "mine"),
        SITE.replace(SUBSCRIPTION, ""),
        SITE.replace(SUBSCRIPTION, SUBSCRIPTION.replace("-", "")),
        SITE.replace(SUBSCRIPTION, f"{{{SUBSCRIPTION}}}"),
        SITE.replace(SUBSCRIPTION, f"urn:uuid:{SUBSCRIPTION}"),
        SITE.replace(SUBSCRIPTION, SUBSCRIPTION.replace("0000-", "0_00-", 1)),
        SITE.replace(SUBSCRIPTION, SUBSCRIPTION.replace("1", "\N{ARABIC-INDIC DIGIT ONE}")),
        SITE.replace("/contoso/", "/../"),
        SITE.replace("/contoso/", "/./"),
        SITE.replace("contoso-func", ".."),
        SITE.replace("contoso-func", "."),
        SITE.replace("resourceGroups", "groups"),
        SITE.replace("/providers/", "/provider/"),
        SITE.replace("contoso-func", "con toso"),
        SITE.replace("contoso-func", "contoso\n"),
        SITE.replace("contoso-func", "contoso?x=1"),
        SITE.replace("contoso-func", "contoso#x"),
        SITE.replace("contoso-func", "%2e%2e"),
        SITE.replace("contoso-func", "a&b"),
        SITE.replace("contoso-func", "a\\b"),
        SITE.replace("contoso-func", "\x00"),
        f"/subscriptions/{SUBSCRIPTION}",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/contoso",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/contoso/providers/Microsoft.Web",
        f"https://management.azure.com{SITE}",
        SITE + "/x" * MAX_ID_LENGTH,
    ],
)
def test_anything_else_is_no_id(text: str) -> None:
    """With an error that quotes it, cut where it is long."""
    with pytest.raises(InvalidIdError) as caught:
        ArmId.parse(text)
    assert len(str(caught.value)) < 400


def test_azures_own_comparison_keeps_apart_what_pythons_would_not() -> None:
    """A Kelvin sign is no k, and a sharp s is no ss: who owns one is not who owns the other."""
    assert fold_case("k") != fold_case("\N{KELVIN SIGN}")
    assert fold_case("ß") != fold_case("ss")
    assert fold_case("\N{LATIN SMALL LETTER DOTLESS I}") != fold_case("i")
    assert fold_case("é") == fold_case("É")


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    """And it keeps the length, one character for one."""
    assert fold_case(fold_case(text)) == fold_case(text)
    assert len(fold_case(text)) == len(text)


def test_an_id_knows_its_family() -> None:
    """Its name, its type, its parent, a child and a sibling."""
    site = ArmId.parse(SITE)
    assert (site.name, site.type) == ("contoso-func", "Microsoft.Web/sites")
    assert site.is_type("microsoft.web/SITES")
    assert not site.is_type("Microsoft.Web/sites/slots")
    slot = site.child("slots", "staging")
    assert (slot.type, slot.parent, slot.name) == ("Microsoft.Web/sites/slots", site, "staging")
    assert slot.sibling("other") == site.child("slots", "other")
    with pytest.raises(InvalidIdError, match="no parent"):
        _ = site.parent


def test_ids_sort_the_same_whatever_their_case() -> None:
    """So that two workers go through them in the same order."""
    texts = [SITE.replace("contoso-func", name) for name in ("b", "A", "C")]
    assert [id_.name for id_ in sorted(map(ArmId.parse, texts))] == ["A", "b", "C"]
    assert ArmId.parse(SITE) != SITE
    assert re.fullmatch(r"ArmId\('/subscriptions/.*'\)", repr(ArmId.parse(SITE)))
