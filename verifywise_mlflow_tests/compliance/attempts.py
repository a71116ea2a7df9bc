"""Attempts to fool the default policy: a version that has all evidence, and changes to it, read from attempts.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path

import yaml

from verifywise_mlflow.artifacts.file_classifier import classify_file
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

TODAY = date(2026, 3, 9)

EVIDENCE: Mapping[str, str | float] = {
    "version description": "Gradient boosting on two years of repayments",
    "version tag owner": "risk-team",
    "version tag business_purpose": "First assessment of consumer loans",
    "version tag deployment_status": "serving",
    "version tag risk_category": "high",
    "version tag data_sensitivity": "personal",
    "version tag dpia": "completed 2026-02-01",
    "version tag approved_by": "Ada Lovelace, 2026-02-02",
    "version tag security_assessment": "SEC-2026-014",
    "version tag dataset": "s3://data/loans.parquet",
    "run tag mlflow.user": "a.lindqvist",
    "run tag mlflow.source.name": "train.py",
    "run tag mlflow.source.git.commit": "8f3c1d2e4b5a69780f1e2d3c4b5a69788f3c1d2e",
    "metric accuracy": 0.93,
    "metric recall_subgroup_women": 0.91,
    "file evaluation/report.json": 1_200,
}
"""The texts, metrics and files, in bytes, of a production version by which it passes the rules of attempts.yaml."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A change of the evidence, and the verdict that it must lead to."""

    rule: str
    changes: Mapping[str, str | float | None]
    verdict: Verdict
    why: str

    @property
    def title(self) -> str:
        """The change in one line."""
        return ", ".join(
            f"{place} {'removed' if value is None else repr(value) if isinstance(value, str) else value}"
            for place, value in self.changes.items()
        )

    def result(self) -> RuleResult:
        """Return the rule's verdict on the changed version."""
        return results({**EVIDENCE, **self.changes})[self.rule]


@cache
def attempts() -> tuple[Attempt, ...]:
    """Return the attempts of attempts.yaml."""
    # BaseLoader reads every scalar as text: the tag `approved_by: no` is what a customer writes.
    groups = yaml.load((Path(__file__).parent / "attempts.yaml").read_text("utf-8"), Loader=yaml.BaseLoader)
    return tuple(
        Attempt(
            group["rule"],
            {place: _value(place, text) for place, text in entry["set"].items()},
            Verdict(entry["verdict"]),
            entry["why"],
        )
        for group in groups
        for entry in group["attempts"]
    )


def results(evidence: Mapping[str, str | float | None]) -> dict[str, RuleResult]:
    """Return the verdict of each default rule on a production version with this evidence, by the rule's id."""
    normalized = normalize(version_inputs(evidence), default_mapping())
    evaluated = _evaluator().evaluate(
        normalized.record,
        normalized.incomplete,
        [asdict(finding) for finding in normalized.findings],
        {field: asdict(origin) for field, origin in normalized.origins.items()},
    )
    return {result.rule_id: result for result in evaluated}


def version_inputs(evidence: Mapping[str, str | float | None]) -> RecordInputs:
    """Return a production version with this evidence, and the objects that belong to it."""
    texts = {place: str(value) for place, value in evidence.items() if value is not None}
    files = tuple(
        ArtifactFile("run", path, round(float(size)), "ab" * 32, classify_file(path, "run"))
        for path, size in _below("file ", texts).items()
    )
    description = texts.get("version description")
    version_tags, model_tags, run_tags = (_below(f"{kind} tag ", texts) for kind in ("version", "model", "run"))
    metrics = {name: float(value) for name, value in _below("metric ", texts).items()}
    return RecordInputs(
        version=ModelVersion("credit", 3, stage="Production", tags=version_tags, description=description, run_id="r1"),
        model=RegisteredModel("credit", tags=model_tags),
        run=TrainingRun("r1", user_id=texts.get("run user"), status="FINISHED", tags=run_tags, metrics=metrics),
        manifest=ArtifactManifest("s3://models/3", "complete", None, files, None, "cd" * 32),
    )


def attempts_table() -> Iterator[str]:
    """Yield the rows of the documentation's table."""
    yield "| change | rule | verdict | because |"
    yield "|---|---|---|---|"
    for attempt in attempts():
        changes = ", ".join(
            f"{place} removed" if value is None else f"{place}: `{value}`" for place, value in attempt.changes.items()
        )
        yield f"| {changes} | `{attempt.rule}` | {attempt.verdict} | {attempt.why} |"


@cache
def _evaluator() -> Evaluator:
    return Evaluator(default_policy(), today=TODAY)


def _value(place: str, text: str) -> str | float | None:
    if text == "null":
        return None
    return float(text) if place.startswith(("metric ", "file ")) else text


def _below(prefix: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {place.removeprefix(prefix): text for place, text in texts.items() if place.startswith(prefix)}
