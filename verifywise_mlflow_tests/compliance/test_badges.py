"""A model's word out of its versions' words, and the picture of a word."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.compliance.badge import JudgedVersion, ModelBadge, model_badge
from verifywise_mlflow.compliance.badge_svg import badge_svg
from verifywise_mlflow.compliance.verdict import Badge

WORDS = {"c": Badge.COMPLIANT, "g": Badge.GAPS, "i": Badge.INCOMPLETE, "n": Badge.NON_COMPLIANT, "-": None}
STAGES = {"p": "production", "s": "staging", "a": "archived", "-": None}


@pytest.mark.parametrize(
    ("versions", "badge", "counted", "because"),
    [
        # In the order of their numbers, each as its stage and its badge.
        ("pc", Badge.COMPLIANT, (1,), "in production"),
        ("pc pg", Badge.GAPS, (2, 1), "in production"),
        ("pg pi", Badge.INCOMPLETE, (2, 1), "in production"),
        ("pi pn", Badge.NON_COMPLIANT, (2, 1), "in production"),
        ("pc sn -n", Badge.COMPLIANT, (1,), "in production"),
        ("sn -c", Badge.COMPLIANT, (2,), "newest that is not archived"),
        ("sg an", Badge.GAPS, (1,), "newest that is not archived"),
        ("an ac", Badge.COMPLIANT, (2,), "newest; all are archived"),
        ("p-", Badge.INCOMPLETE, (1,), "in production"),
    ],
)
def test_the_worst_of_the_versions_that_count_is_the_models(
    versions: str, badge: Badge, counted: tuple[int, ...], because: str
) -> None:
    judged = [
        JudgedVersion(number, STAGES[told[0]], WORDS[told[1]]) for number, told in enumerate(versions.split(), start=1)
    ]

    assert model_badge(judged) == ModelBadge(badge, counted, because)  # type: ignore[arg-type]  # a text of the table


def test_a_model_without_versions_has_no_badge() -> None:
    assert model_badge([]) is None


SVG = "{http://www.w3.org/2000/svg}"


@given(st.text(st.characters(exclude_categories=()), max_size=200), st.sampled_from(Badge), st.integers(0, 3))
def test_a_picture_is_xml_that_holds_whatever_it_is_called_as_text_alone(label: str, badge: Badge, waived: int) -> None:
    root = ElementTree.fromstring(badge_svg(label, badge, waived).encode("utf-8"))  # our own

    assert {element.tag for element in root.iter()} == {f"{SVG}{tag}" for tag in ("svg", "title", "rect", "g", "text")}
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[1] == badge.value + (f" ({waived} waived)" if waived else "")
    assert all(float(element.attrib["width"]) > 0 for element in root.iter(f"{SVG}rect"))


def test_a_name_that_would_be_markup_is_shown_as_it_stands() -> None:
    name = "<script>alert(1)</script>\"' &amp;"

    picture = badge_svg(name, Badge.GAPS)

    assert "<script" not in picture
    assert next(ElementTree.fromstring(picture).iter(f"{SVG}text")).text == name  # our own


def test_what_turns_the_direction_of_writing_around_is_taken_out() -> None:
    assert "\u202e" not in badge_svg("evil\u202egnp.exe", Badge.GAPS)
