from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.normalizer.mapping.key_folding import fold, key_spellings, split_words

NAMESPACES = {"governance", "gov", "verifywise", "ai", "model", "euaiact"}
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    "key",
    [
        "risk category",
        "risk_category",
        "risk-category",
        "Risk.Category",
        "riskCategory",
        "RISK/CATEGORY",
        "risk:category",
    ],
)
def test_case_and_separators_do_not_matter(key: str) -> None:
    assert fold(key) == "riskcategory"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("containsPII", ("contains", "pii")),
        ("PIIData", ("pii", "data")),
        ("DPIAStatus", ("dpia", "status")),
        ("f1Score", ("f1", "score")),
        ("propriétaire", ("proprietaire",)),
        ("  ", ()),
        ("---", ()),
    ],
)
def test_words_end_at_separators_and_camel_case_boundaries(key: str, expected: tuple[str, ...]) -> None:
    assert split_words(key) == expected


@pytest.mark.parametrize(
    "key",
    [
        *("owner", "Owner", "model-owner", "ModelOwner", "model.owner", "governance.owner", "gov/owner"),
        *("verifywise:owner", "verifywise.governance.owner", "EuAiAct / Owner"),
    ],
)
def test_a_leading_namespace_is_ignored(key: str) -> None:
    assert ("owner",) in set(key_spellings(key, NAMESPACES))


@pytest.mark.parametrize("key", ["data_owner", "owner_history", "modelowner", "co-owner", "governance"])
def test_another_leading_word_is_not_a_namespace(key: str) -> None:
    assert ("owner",) not in set(key_spellings(key, NAMESPACES))


@pytest.mark.parametrize("key", ["mlflow.owner", "MLflow.owner", "mlflow.", "o" * 251, ""])
def test_system_keys_and_overlong_keys_have_no_spelling(key: str) -> None:
    assert list(key_spellings(key, NAMESPACES)) == []


def words_by_unicode(text: str) -> tuple[str, ...]:
    """Return the words of a text by the steps for any script, without the shortcut for ASCII and without the cache."""

    def plain(part: str) -> str:
        return re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", part))

    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain(text))
    return tuple(filter(None, re.split(r"[\W_]+", plain(parted.casefold()))))


@given(ANY_TEXT | st.text(st.characters(max_codepoint=127)))
def test_ascii_is_split_as_any_other_script(text: str) -> None:
    assert split_words(text) == words_by_unicode(text)


@given(ANY_TEXT)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_folding_twice_changes_nothing_for_any_character() -> None:
    # One unassigned and one private character represent a million others: these have no case, parts or properties.
    others = (
        character for character in map(chr, range(0x110000)) if unicodedata.category(character) not in ("Cn", "Co")
    )

    folded = {character: fold(character) for character in ("\u0378", "\ue000", *others)}

    assert len(folded) > 140_000
    assert [character for character, once in folded.items() if once != character and fold(once) != once] == []
