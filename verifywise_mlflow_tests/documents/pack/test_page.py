"""The page and the PDF have the expected content in order, and hostile texts stay texts."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from verifywise_mlflow_tests.documents.pack.packed_versions import CHURN, PackedTenant, packed


class Outline(HTMLParser):
    """Reads the structure of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[tuple[int, str]] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []
        self.tables_without_caption = 0
        self.cells_without_scope = 0
        self._inside: str | None = None
        self._text = ""
        self.feed(page)

    @property
    def text(self) -> str:
        """All text, with single spaces."""
        return " ".join(self._text.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self._text += " "
        values = dict(attributes)
        self.addresses += [value for name in ("src", "href") if (value := values.get(name))]
        if re.fullmatch(r"h[1-6]", tag):
            self._inside = tag
            self.headings.append((int(tag[1]), ""))
        self.tables_without_caption += (tag == "table") - (tag == "caption")
        self.cells_without_scope += tag == "th" and values.get("scope") not in ("col", "row")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        self._text += data
        if self._inside:
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)


@pytest.fixture(scope="module")
def page(fraud_files: Mapping[str, bytes]) -> Outline:
    """The page of the hostile version."""
    return Outline(fraud_files["index.html"].decode())


@pytest.fixture(scope="module")
def churn(packed_tenant: PackedTenant) -> Mapping[str, bytes]:
    """The files of the version that could not be read completely."""
    return packed(packed_tenant.store, CHURN)


def test_the_page_answers_an_auditors_questions_in_order(page: Outline) -> None:
    assert [text for level, text in page.headings if level == 2] == [
        *("At a glance", "What the model is", "The AI system it belongs to", "Who answers for it"),
        *("What it was trained on", "How it was evaluated", "Open gaps", "Accepted gaps (waivers)"),
        *("What cannot be known from MLflow", "From clause to rule", "From rule to value, source and file"),
        *("What happened to this version", "Files", "The files of this pack"),
    ]
    for text in (
        "Owner Team Fraud Declared by a tag of the version: owner",
        "payments-2025 training a1b2c3 s3://bank/payments",
        "auc 0.91",
        "Grace Hopper",
        "It is designed on paper.",
        "Models in use have a dated approval of the version by somebody who neither owns nor trained it",
        "stage: 'Staging' → 'Production'",
        "the bytes of 'model.pkl' of the model changed in place",
    ):
        assert text in page.text


def test_headings_tables_and_cells_are_fit_for_screen_readers(page: Outline) -> None:
    levels = [level for level, _ in page.headings]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert (page.tables_without_caption, page.cells_without_scope) == (0, 0)


def test_nothing_on_the_page_runs_or_leads_outside(page: Outline, fraud_files: Mapping[str, bytes]) -> None:
    assert not page.elements & {"script", "img", "iframe", "object", "form", "link", "svg"}
    assert all(address.startswith("#") or address in fraud_files for address in page.addresses)
    assert "\u202e" not in fraud_files["index.html"].decode()
    assert "\\u202egnp.exe" in page.text  # the text is shown, not hidden
    assert "<script>document.title='owned'</script>" in page.text


def test_what_could_not_be_read_has_a_heading_and_is_listed(churn: Mapping[str, bytes]) -> None:
    page = Outline(churn["index.html"].decode())

    assert (2, "What cannot be known from MLflow") in page.headings
    for text in (
        "the training run could not be read: the server returned 403",
        "eval/bias.json bias report it is too large",
        "No metric is known, because no training run could be read.",
        "Human oversight",
    ):
        assert text in page.text


def test_a_complete_version_has_the_heading_as_well(page: Outline) -> None:
    start = page.text.index("What could not be read")

    assert "Everything that belongs to this version could be read." in page.text[start:]
    assert "EU AI Act Annex IV(2)(e)" in page.text[start:]


def test_the_pdf_has_the_same_text_and_is_tagged(fraud_files: Mapping[str, bytes]) -> None:
    reader = PdfReader(io.BytesIO(fraud_files["index.pdf"]))
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).replace("\u200b", "").split())
    marks = reader.root_object["/MarkInfo"]

    assert reader.metadata is not None
    assert reader.metadata.title == "fraud, version 3"
    assert isinstance(marks, DictionaryObject)
    assert marks["/Marked"]
    assert str(reader.root_object["/Lang"]) == "en"
    for expected in ("Team Fraud", "payments-2025", "What cannot be known from MLflow", "Grace Hopper", "#strong[x]"):
        assert expected in text
