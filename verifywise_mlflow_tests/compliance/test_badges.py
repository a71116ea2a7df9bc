"""A model's badge, made from the badges of its versions, and a badge as an SVG image."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.compliance.badge import Badge, EvaluatedVersion, ModelBadge, model_badge, version_badge
from verifywise_mlflow.compliance.badge_svg import badge_svg
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict

BADGES = {"e": Badge.EVIDENCE_COMPLETE, "g": Badge.GAPS, "i": Badge.INCOMPLETE, "f": Badge.FAILING, "-": None}
STAGES = {"p": "production", "s": "staging", "a": "archived", "-": None}
STATUSES = {"D": "deployed", "P": "partly_deployed", "N": "not_deployed"}


@pytest.mark.parametrize(
    ("versions", "expected", "version_numbers", "reason"),
    [
        # Versions 1, 2, ..., each as the initials of its stage, its badge and its deployment status, if it has one.
        ("pe", Badge.EVIDENCE_COMPLETE, (1,), "in production or deployed"),
        ("pe pg", Badge.GAPS, (2, 1), "in production or deployed"),
        ("pg pi", Badge.INCOMPLETE, (2, 1), "in production or deployed"),
        ("pi pf", Badge.FAILING, (2, 1), "in production or deployed"),
        ("pe sf -f", Badge.EVIDENCE_COMPLETE, (1,), "in production or deployed"),
        ("sf -e", Badge.EVIDENCE_COMPLETE, (2,), "newest that is not archived"),
        ("sg af", Badge.GAPS, (1,), "newest that is not archived"),
        ("af ae", Badge.EVIDENCE_COMPLETE, (2,), "newest; all are archived"),
        ("-fD se", Badge.FAILING, (1,), "in production or deployed"),
        ("-fP se", Badge.FAILING, (1,), "in production or deployed"),
        ("pe -fD", Badge.FAILING, (2, 1), "in production or deployed"),
        ("afD -e", Badge.FAILING, (1,), "in production or deployed"),
        ("-fN -e", Badge.EVIDENCE_COMPLETE, (2,), "newest that is not archived"),
        ("p-", Badge.INCOMPLETE, (1,), "in production or deployed"),
    ],
)
def test_a_model_has_the_worst_badge_of_the_versions_that_count(
    versions: str, expected: Badge, version_numbers: tuple[int, ...], reason: str
) -> None:
    evaluated = [
        EvaluatedVersion(number, STAGES[version[0]], STATUSES.get(version[2:]), BADGES[version[1]])
        for number, version in enumerate(versions.split(), start=1)
    ]

    assert model_badge(evaluated) == ModelBadge(expected, version_numbers, reason)  # type: ignore[arg-type]  # a string of the table


def test_a_model_without_versions_has_no_badge() -> None:
    assert model_badge([]) is None


SVG = "{http://www.w3.org/2000/svg}"


@given(st.text(st.characters(exclude_categories=()), max_size=200), st.sampled_from(Badge), st.integers(0, 3))
def test_an_image_is_xml_that_contains_any_label_as_text_only(label: str, badge: Badge, waived: int) -> None:
    root = ElementTree.fromstring(badge_svg(label, badge, waived).encode("utf-8"))  # our own

    assert {element.tag for element in root.iter()} == {f"{SVG}{tag}" for tag in ("svg", "title", "rect", "g", "text")}
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[1] == badge.value + (f" ({waived} waived)" if waived else "")
    assert all(float(element.attrib["width"]) > 0 for element in root.iter(f"{SVG}rect"))


def test_markup_in_a_name_is_shown_as_text() -> None:
    name = "<script>alert(1)</script>\"' &amp;"

    image = badge_svg(name, Badge.GAPS)

    assert "<script" not in image
    assert next(ElementTree.fromstring(image).iter(f"{SVG}text")).text == name  # our own


def test_characters_that_reverse_the_text_direction_are_removed() -> None:
    assert "\u202e" not in badge_svg("evil\u202egnp.exe", Badge.GAPS)


def test_only_complete_evidence_is_green() -> None:
    green = {badge for badge in Badge if "#2a7d3f" in badge_svg("fraud", badge)}

    assert green == {Badge.EVIDENCE_COMPLETE}


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("is_complete", [True, False])
def test_a_version_that_could_not_be_read_completely_is_incomplete_unless_it_fails(
    verdict: Verdict, is_complete: bool
) -> None:
    expected = {
        Verdict.FAIL: Badge.FAILING,
        Verdict.ERROR: Badge.INCOMPLETE,
        Verdict.NOT_READ: Badge.INCOMPLETE,
        Verdict.NOT_EVIDENCED: Badge.GAPS if is_complete else Badge.INCOMPLETE,
    }.get(verdict, Badge.EVIDENCE_COMPLETE if is_complete else Badge.INCOMPLETE)

    assert version_badge([RuleResult("owner", 1, verdict, "Because.", "{}")], complete=is_complete) is expected
