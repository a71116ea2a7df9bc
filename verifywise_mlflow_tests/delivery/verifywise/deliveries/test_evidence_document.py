"""The evidence file is inert Markdown, and the same state gives the same bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from markdown_it import MarkdownIt

from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.delivery.verifywise.evidence_document import MAX_FILES, evidence_document
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.persistence.queries.delivery_states import DeliveryState, StatedVerdict
from verifywise_mlflow_tests.support.stored_states import NOON

HOSTILE = (
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<script>alert(1)</script>",
    "`code` ``` fence",
    "https://evil.example",
    "# heading\n\n- list",
    "a | b\n---|---",
    "\u202eevil\x1b[31m",
    "*bold* _x_ ~~y~~ &lt;",
)


def state(text: str = "fraud") -> DeliveryState:
    waiver = Waiver(rule="owned", model="*", approver="Grace", reason=f"Why: {text}", expires=date(2026, 4, 1))
    manifest = {"location": text, "status": "complete", "files": [{"path": text, "size": 1, "sha256": "0" * 64}]}
    values = {"model_name": text, "version_number": 3, "owner": text, "metrics": {text: 1.5}}
    record = CanonicalRecord(**{**dict.fromkeys(FIELDS), **values, "artifact_manifest": manifest})  # type: ignore[arg-type]  # fields by name
    verdict = StatedVerdict("owned", "fail", f"It is {text}.", NOON, NOON, waiver)
    return DeliveryState(record, 1, None, "failing", (verdict,), ("training run",))


def document(current: DeliveryState) -> str:
    text = current.record.model_name
    return evidence_document(
        "acme", current, {"owned": f"Title {text}"}, {"p": "1"}, "https://m.example/#/x"
    ).content.decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_customers_text_shows_as_it_is(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(document(state(text)))

    kinds = {token.type for token in tokens}
    inline = {child.type for token in tokens for child in token.children or ()}
    assert not {"table_open", "html_block", "fence", "code_block", "blockquote_open"} & kinds
    assert inline <= {"text", "code_inline", "strong_open", "strong_close", "text_special", "softbreak"}
    assert {token.tag for token in tokens if token.type == "heading_open"} == {"h1", "h2"}


def test_the_same_state_gives_the_same_file() -> None:
    first = evidence_document("acme", state(), {}, {}, "https://m.example")
    second = evidence_document("acme", state(), {}, {}, "https://m.example")
    other = evidence_document("acme", replace(state(), badge="gaps"), {}, {}, "https://m.example")

    assert first == second
    assert other.filename != first.filename
    assert first.digest[:16] in first.filename


def test_the_document_has_record_verdicts_waivers_and_manifest() -> None:
    text = document(state())

    for part in ("**failing**", "**fail** `owned`", "It is fraud.", "Waived: ", "SHA-256 `000", "- owner: `fraud`"):
        assert part in text


def test_a_long_manifest_is_cut_and_the_rest_counted() -> None:
    files = [{"path": f"f{number}", "size": 1, "sha256": None} for number in range(MAX_FILES + 3)]
    long = replace(state().record, artifact_manifest={"files": files})

    assert "- 3 more files" in document(replace(state(), record=long))
