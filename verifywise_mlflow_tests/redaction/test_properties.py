"""Properties of redaction that hold for every text."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from verifywise_mlflow.connector.models import DatasetInput, TrainingRun
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.redaction.spans import Span, apply_redactions
from verifywise_mlflow.redaction.text_redactor import TextRedactor
from verifywise_mlflow_tests.redaction.fake_secrets import fake_secrets

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # NUL and lone surrogates, too
HARMLESS = st.text(st.characters(codec=None, exclude_categories=(), exclude_characters="=:-+@0123456789"))
"""Texts without the characters that connect a secret with its name, and without digits, which all tokens contain."""

SECRETS = [fake.secret for fake in fake_secrets() if fake.secret == fake.text and fake.key == "note"]


@given(HARMLESS, HARMLESS)
@example("a\x00b", "\ud800 and \udfff")
def test_a_run_without_secrets_is_returned_as_the_same_object(key: str, text: str) -> None:
    run = TrainingRun("r", params={f"x{key}x": text}, tags={text: text}, metrics={text: float("nan")}, run_name=text)

    assert EntityRedactor(RedactionSettings()).redact(run) is run


@given(ANY_TEXT, ANY_TEXT, st.sampled_from(SECRETS))
def test_a_token_is_redacted_in_any_context(before: str, after: str, token: str) -> None:
    redactor = TextRedactor(RedactionSettings())

    redacted = redactor.redact(redactor.scope("note"), f"{before} {token} {after}")

    assert redacted is not None
    assert token not in redacted.text


@given(ANY_TEXT)
def test_redaction_accepts_any_text_and_is_idempotent(text: str) -> None:
    settings = RedactionSettings.model_validate(
        {
            "tags": {"allow": ["a*"], "deny": ["[!b]?"]},
            "personal_data": {"redact": ["email", "phone", "iban", "card", "ip_address"], "patterns": {"e": "E[0-9]+"}},
        }
    )
    dataset = DatasetInput(text, None, None, text, None)
    run = TrainingRun("r", params={text: text}, tags={text: text}, datasets=(dataset,), problems=(text,))

    redacted_once = EntityRedactor(settings).redact(run)

    redacted_twice = EntityRedactor(settings).redact(replace(redacted_once, redactions=()))
    assert (redacted_twice.params, redacted_twice.datasets, redacted_twice.problems) == (
        redacted_once.params,
        redacted_once.datasets,
        redacted_once.problems,
    )


@given(ANY_TEXT, st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=6))
def test_text_outside_the_spans_stays_unchanged(text: str, span_bounds: list[tuple[int, int]]) -> None:
    spans = [
        Span(start, min(start + length, len(text)), "secret", "x") for start, length in span_bounds if start < len(text)
    ]
    covered = {position for span in spans for position in range(span.start, span.end)}

    redacted, merged = apply_redactions(text, spans)

    for span in reversed(merged):
        assert span.end > span.start
    outside = "".join(character for position, character in enumerate(text) if position not in covered)
    assert len(redacted) == len(outside) + len(merged) * len("[redacted: x]")
