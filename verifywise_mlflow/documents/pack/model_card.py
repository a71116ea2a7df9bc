"""The files ``model-card.md``, in the form of Hugging Face's model cards, and ``model-card.json``.

The JSON follows the schema 0.0.2 of Google's Model Card Toolkit. Both files contain only recorded facts. If MLflow
shows nothing, the card states this.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import yaml

from verifywise_mlflow.common.markdown import code_span, escape_markdown
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.documents.blocks import shorten, show_day, show_time
from verifywise_mlflow.documents.pack.json_text import pretty
from verifywise_mlflow.documents.version.unknown import HEADING
from verifywise_mlflow.documents.version.wording import label, show_value
from verifywise_mlflow.services.version_dossier import VersionDossier

MAX_METRICS: Final = 200
"""The maximum number of metrics in a card; ``record.json`` has all metrics."""
MAX_ROWS: Final = 100

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_LIBRARIES: Final = {
    "sklearn": "sklearn",
    "pytorch": "pytorch",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "transformers": "transformers",
    "sentence_transformers": "sentence-transformers",
    "spacy": "spacy",
    "fastai": "fastai",
    "onnx": "onnx",
    "diviner": "diviner",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "prophet": "prophet",
    "statsmodels": "statsmodels",
}
_NOT_RECORDED: Final = "Not recorded in MLflow."


def model_card_markdown(known: VersionDossier) -> bytes:
    """Return the card: a YAML head for programs, and a text for people."""
    head = yaml.safe_dump(dict(_head(known)), sort_keys=False, allow_unicode=False, width=1_000)
    body = "\n".join(_body(known))
    return f"---\n{head}---\n\n{body}\n".encode()


def model_card_json(known: VersionDossier) -> bytes:
    """Return the card in the schema of the Model Card Toolkit."""
    record = known.record
    details: dict[str, object] = {
        "name": record.model_name,
        "version": {"name": str(record.version_number), "date": show_day(record.created_at)},
    }
    if record.created_at is None:
        details["version"] = {"name": str(record.version_number)}
    if record.description:
        details["overview"] = record.description.splitlines()[0] if record.description.strip() else ""
        details["documentation"] = record.description
    if record.owner:
        details["owners"] = [{"name": record.owner}]
    parameters: dict[str, object] = {
        "data": [
            {
                "name": data_set.name,
                "description": f"{data_set.context or 'use not recorded'}; digest {data_set.digest or 'not recorded'}",
                **(
                    {"sensitive": {"sensitive_data": [record.data_sensitivity]}}
                    if record.data_sensitivity not in (None, "none")
                    else {}
                ),
            }
            for data_set in known.data_sets
        ]
    }
    if known.environment and known.environment.flavors:
        parameters["model_architecture"] = ", ".join(sorted(known.environment.flavors))
    considerations: dict[str, object] = {
        "limitations": [{"description": sentence} for sentence in _unknown_sentences(known)],
    }
    if record.business_purpose:
        considerations["use_cases"] = [{"description": record.business_purpose}]
    if known.open_gaps:
        considerations["ethical_considerations"] = [
            {"name": judged.rule.title or judged.verdict.rule_id, "mitigation_strategy": judged.rule.remedy}
            for judged in known.open_gaps
        ]
    return pretty(
        {
            "schema_version": "0.0.2",
            "model_details": details,
            "model_parameters": parameters,
            "quantitative_analysis": {
                "performance_metrics": [
                    {"type": name, "value": repr(value)} for name, value in _finite_metrics(known)[:MAX_METRICS]
                ]
            },
            "considerations": considerations,
        }
    )


def _head(known: VersionDossier) -> Iterator[tuple[str, object]]:
    record, environment = known.record, known.environment
    yield "model_name", _visible(record.model_name)
    libraries = [_LIBRARIES[name] for name in (environment.flavors if environment else ()) if name in _LIBRARIES]
    if libraries:
        yield "library_name", libraries[0]
    if record.base_model and _HUB_ID.fullmatch(record.base_model):
        yield "base_model", record.base_model
    hub_data_sets = [item.name for item in known.data_sets if item.source_type == "hugging_face"]
    if names := list(dict.fromkeys(name for name in hub_data_sets if _HUB_ID.fullmatch(name))):
        yield "datasets", names[:MAX_ROWS]
    yield "tags", ["mlflow", f"mlflow-version-{record.version_number}"]
    metrics = _finite_metrics(known)[:MAX_METRICS]
    if metrics:
        yield "model-index", [_model_index(known, metrics)]


def _model_index(known: VersionDossier, metrics: Sequence[tuple[str, float]]) -> Mapping[str, object]:
    """Return the metrics in the form of Hugging Face.

    The form requires a data set, but MLflow does not state the data set on which a metric was computed.
    """
    tasks = known.environment.tasks if known.environment else ()
    return {
        "name": _visible(known.record.model_name),
        "results": [
            {
                "task": {"type": _visible(tasks[0]) if tasks else "other"},
                "dataset": {"name": "not recorded in MLflow", "type": "other"},
                "metrics": [
                    {"type": _visible(metric), "name": _visible(metric), "value": value} for metric, value in metrics
                ],
            }
        ],
    }


def _body(known: VersionDossier) -> Iterator[str]:
    record = known.record
    yield f"# {escape_markdown(record.model_name)}, version {record.version_number}"
    yield ""
    yield (
        f"What MLflow shows as of {show_time(known.as_of)}. Where nothing is recorded, this card says so. It is no "
        "statement that the model complies with a law."
    )
    yield from _section("Model details", _facts(known, ("description", "owner", "model_kind", "created_at")))
    yield from _section(
        "Intended use", _facts(known, ("business_purpose", "risk_category", "regulatory_scope", "deployment_status"))
    )
    yield from _section("Training data", _data_sets(known))
    yield from _section("Training procedure", _training(known))
    yield from _section("Evaluation", _metrics(known))
    yield from _section("Open gaps", _gaps(known))
    yield from _section(HEADING, [f"- {escape_markdown(sentence)}" for sentence in _unknown_sentences(known)])


def _section(heading: str, lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    yield ""
    yield f"## {heading}"
    yield ""
    yield from lines


def _facts(known: VersionDossier, fields: Sequence[str]) -> Iterator[str]:
    for field in fields:
        value = getattr(known.record, field)
        shown = _NOT_RECORDED if value is None else " ".join(show_value(value).split())
        yield f"- **{label(field)}:** {escape_markdown(shown)}"


def _data_sets(known: VersionDossier) -> Iterator[str]:
    if not known.data_sets:
        yield _NOT_RECORDED
    for data_set in known.data_sets[:MAX_ROWS]:
        digest = f", digest {code_span(shorten(data_set.digest, 200))}" if data_set.digest else ""
        used = escape_markdown(shorten(data_set.context or "use not recorded", 100))
        yield f"- {code_span(shorten(data_set.name, 200)) or 'without a name'}: {used}{digest}"
    yield from _more(len(known.data_sets))


def _training(known: VersionDossier) -> Iterator[str]:
    yield from _facts(known, ("source_run_id", "training_started_at", "training_ended_at", "code_commit"))
    yield from _table(("Parameter", "Value"), known.record.hyperparameters or {})


def _metrics(known: VersionDossier) -> Iterator[str]:
    if not known.record.metrics:
        yield _NOT_RECORDED
    yield from _table(("Metric", "Value"), known.record.metrics or {})


def _gaps(known: VersionDossier) -> Iterator[str]:
    if not known.open_gaps:
        yield "None." if known.badge else "No rule has been evaluated yet."
    for judged in known.open_gaps:
        reason = escape_markdown(shorten(" ".join(judged.verdict.reason.split())))
        title = escape_markdown(judged.rule.title or judged.verdict.rule_id)
        yield f"- **{title}** ({judged.verdict.verdict}, open since {show_day(judged.open_since)}): {reason}"


def _table(headings: tuple[str, str], values: Mapping[str, object]) -> Iterator[str]:
    if not values:
        return
    yield ""
    yield f"| {headings[0]} | {headings[1]} |"
    yield "|---|---|"
    for name, value in sorted(values.items())[:MAX_ROWS]:
        cells = (escape_markdown(" ".join(shorten(text, 200).split())) for text in (name, show_value(value, 200)))
        yield f"| {' | '.join(cells)} |"
    yield from _more(len(values))


def _more(count: int) -> Iterator[str]:
    if count > MAX_ROWS:
        yield ""
        yield f"{count - MAX_ROWS:,} more are in record.json."


def _unknown_sentences(known: VersionDossier) -> list[str]:
    unknowns = known.unknowns
    sentences = [shorten(sentence) for unread in unknowns.unread_objects for sentence in unread.sentences]
    if unknowns.missing_fields:
        missing = ", ".join(label(field.field).lower() for field in unknowns.missing_fields)
        sentences.append(f"MLflow records nothing for: {missing}.")
    if unknowns.files_without_hash:
        sentences.append(f"The bytes of {len(unknowns.files_without_hash):,} files were not read.")
    sentences.append(
        "MLflow does not show who the intended users are, where the model must not be used, whether the metrics suit "
        "the purpose, and what oversight by people there is."
    )
    return sentences


def _visible(text: str) -> str:
    return escape_invisible(shorten(text, 300))


def _finite_metrics(known: VersionDossier) -> list[tuple[str, float]]:
    """Return the metrics that are finite: JSON and the tools for YAML cannot represent other numbers."""
    metrics = known.record.metrics or {}
    return [(name, value) for name, value in sorted(metrics.items()) if math.isfinite(value)]
