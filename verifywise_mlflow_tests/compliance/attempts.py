"""Attempts to fool the default policy: a version that has all evidence, and changes from attempts.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import yaml

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.file_classifier import classify_file
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    ManifestStatus,
    ModelSignature,
    Root,
    RuntimeEnvironment,
    SignatureStatus,
)
from verifywise_mlflow.compliance.environment_facts.environment_facts import (
    EnvironmentFacts,
    load_environment_facts,
)
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.field_paths import ENVIRONMENT_FACTS
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.rules.ruleset import merge_policies
from verifywise_mlflow.compliance.rules.versions_in_use import VersionsInUse
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.connector.models import DatasetInput, ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

T = TypeVar("T")

TODAY = date(2026, 3, 9)

EVIDENCE: Mapping[str, str | float] = {
    "version stage": "Production",
    "version created": "2026-01-20",
    "version description": "Gradient boosting on two years of repayments",
    "version tag owner": "risk-team",
    "version tag business_purpose": "First assessment of consumer loans",
    "version tag deployment_status": "serving",
    "version tag risk_category": "high",
    "version tag data_sensitivity": "personal",
    "version tag dpia": "completed 2026-02-01",
    "version tag approved_by": "Ada Lovelace, 2026-02-02",
    "version tag validator": "Vera Osei",
    "version tag validation_date": "2026-02-01",
    "version tag fria": "completed 2026-02-01",
    "version tag human_oversight": "completed 2026-02-01",
    "version tag security_assessment": "SEC-2026-014, 2026-02-01",
    "version tag monitoring_evidence": "drift report 2026-03-01",
    "version tag dataset": "s3://data/loans.parquet",
    "version tag base_model": "llama-3.1-8b-instruct",
    "version tag base_model_license": "Llama 3.1 Community License",
    "version tag prompt_reference": "prompts:/summary/3",
    "version tag safety_evaluation": "RT-14, 2026-03-01",
    "run tag mlflow.user": "a.lindqvist",
    "run tag mlflow.source.name": "train.py",
    "run tag mlflow.source.git.commit": "8f3c1d2e4b5a69780f1e2d3c4b5a69788f3c1d2e",
    "metric accuracy": 0.93,
    "metric recall_subgroup_women": 0.91,
    "metric recall_subgroup_men": 0.92,
    "data training loans": "9f2c",
    "data evaluation holdout": "11aa",
    "file evaluation/report.json": 1_200,
    "file model_card.md": 1_800,
    "model file model.skops": 9_000,
    "run experiment": "7",
    "run ended": "2026-01-19",
    "schema of inputs": "yes",
    "python": "3.11.9",
    "mlflow": "3.9.0",
    "OSV copy": "osv",
    "flavor sklearn": "1.9.1",
    "package scikit-learn": "==1.9.1",
    "package numpy": "==2.4.0",
    "other version 4": "staging",
}
"""The texts, metrics and files, in bytes, of a production version by which it passes the rules of attempts.yaml."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A change of the evidence, and the verdict that must follow from it."""

    rule: str
    changes: Mapping[str, str | float | None]
    verdict: Verdict
    why: str
    base: Mapping[str, str | float | None] = field(default_factory=dict)
    """The differences from a version with ``EVIDENCE`` that make the rule pass on the version."""

    @property
    def title(self) -> str:
        """The change in one line."""
        return ", ".join(
            f"{place} {'removed' if value is None else repr(value) if isinstance(value, str) else value}"
            for place, value in self.changes.items()
        )

    def result(self) -> RuleResult:
        """Return the rule's verdict on the changed version."""
        return results({**EVIDENCE, **self.base, **self.changes})[self.rule]


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
            {place: _value(place, text) for place, text in group.get("base", {}).items()},
        )
        for group in groups
        for entry in group["attempts"]
    )


def results(evidence: Mapping[str, str | float | None], evaluator: Evaluator | None = None) -> dict[str, RuleResult]:
    """Return the verdicts on a version with this evidence, by the rule's ID; by default, the verdicts of all rules."""
    return _results(subject_with(evidence), evidence, evaluator)


def results_on(
    inputs: RecordInputs, evidence: Mapping[str, str | float | None], evaluator: Evaluator | None = None
) -> dict[str, RuleResult]:
    """Return the results for a version with these objects, and the thresholds and other versions of the evidence."""
    return _results(_subject(inputs, evidence), evidence, evaluator)


def _results(
    subject: Subject, evidence: Mapping[str, str | float | None], evaluator: Evaluator | None
) -> dict[str, RuleResult]:
    levels = {name: float(level) for name, level in _below("threshold ", evidence).items() if level is not None}
    thresholds = tuple(levels.items())
    evaluations = (evaluator or _evaluator(thresholds)).evaluate_subject(subject)
    return {evaluation.rule_id: evaluation.result() for evaluation in evaluations}


def subject_with(evidence: Mapping[str, str | float | None]) -> Subject:
    """Return what the rules see of a version with this evidence."""
    return _subject_with(tuple(evidence.items()))


@cache
def _subject_with(items: tuple[tuple[str, str | float | None], ...]) -> Subject:
    evidence = dict(items)
    return _subject(version_inputs(evidence), evidence)


def _subject(inputs: RecordInputs, evidence: Mapping[str, str | float | None]) -> Subject:
    normalized = normalize(inputs, default_mapping())
    return Subject(
        normalized.record,
        normalized.incomplete,
        [asdict(finding) for finding in normalized.findings],
        {field: asdict(origin) for field, origin in normalized.origins.items()},
        _versions_in_use(normalized.record, evidence),
        _environment_facts(evidence.get("OSV copy")).of(normalized.record, ENVIRONMENT_FACTS),
    )


def version_inputs(evidence: Mapping[str, str | float | None]) -> RecordInputs:
    """Return a production version with this evidence, and the objects that belong to it."""
    texts = {place: str(value) for place, value in evidence.items() if value is not None}
    roots: tuple[tuple[Root, str], ...] = (("run", "file "), ("model", "model file "))
    files = tuple(
        ArtifactFile(root, path, round(float(size)), "ab" * 32, classify_file(path, root))
        for root, prefix in roots
        for path, size in _below(prefix, texts).items()
    )
    description = texts.get("version description")
    version_tags, model_tags, run_tags = (_below(f"{kind} tag ", texts) for kind in ("version", "model", "run"))
    metrics = {name: float(value) for name, value in _below("metric ", texts).items()}
    aliases = {texts["version alias"]: 3} if "version alias" in texts else {}
    return RecordInputs(
        version=ModelVersion(
            "credit",
            3,
            created_at=_time(texts["version created"]),
            stage=texts.get("version stage"),
            tags=version_tags,
            description=description,
            run_id="r1",
        ),
        model=RegisteredModel("credit", tags=model_tags, aliases=aliases),
        run=TrainingRun(
            "r1",
            experiment_id=texts.get("run experiment"),
            user_id=texts.get("run user"),
            status=texts.get("run status", "FINISHED"),
            ended_at=_time(texts["run ended"]) if "run ended" in texts else None,
            tags=run_tags,
            metrics=metrics,
            datasets=tuple(_data(place, digest) for place, digest in _below("data ", texts).items()),
        ),
        experiment_name="credit",
        manifest=ArtifactManifest(
            "s3://models/3",
            cast("ManifestStatus", texts.get("manifest status", "complete")),
            None,
            files,
            environment=_environment(texts),
            digest="cd" * 32,
            signatures=tuple(
                ModelSignature(path, cast("SignatureStatus", status), None, None, None)
                for path, status in _below("signature ", texts).items()
            ),
        ),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _data(place: str, digest: str) -> DatasetInput:
    context, _, name = place.partition(" ")
    return DatasetInput(name, digest, None, None, context)


def _environment(texts: Mapping[str, str]) -> RuntimeEnvironment:
    requirements = "".join(f"{name}{pin}\n" for name, pin in _below("package ", texts).items())
    flavors = {name: {f"{name}_version": version} for name, version in _below("flavor ", texts).items()}
    mlmodel = {
        "mlflow_version": texts.get("mlflow"),
        "flavors": flavors,
        "signature": dict.fromkeys(_below("schema of ", texts), '[{"name": "x", "type": "double"}]'),
        "metadata": {"task": texts.get("MLmodel task")},
    }
    return read_environment(
        {
            "requirements.txt": requirements.encode(),
            "python_env.yaml": f"python: {texts.get('python', '')}\n".encode(),
            "MLmodel": yaml.safe_dump(mlmodel).encode(),
        }
    )


@cache
def _environment_facts(copy: str | float | None) -> EnvironmentFacts:
    return load_environment_facts(None, Path(__file__).parent / str(copy) if copy else None)


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
def _evaluator(thresholds: tuple[tuple[str, float], ...] = ()) -> Evaluator:
    return Evaluator(merge_policies([default_policy()], dict(thresholds)), today=TODAY)


def _versions_in_use(record: CanonicalRecord, evidence: Mapping[str, str | float | None]) -> VersionsInUse:
    """Return the versions in use: this version according to its record, and the other versions by their stage."""
    others = {int(number): stage for number, stage in _below("other version ", evidence).items() if stage}
    is_in_production = record.lifecycle_stage == "production" or record.deployment_status == "deployed"
    production = [number for number, stage in others.items() if stage == "production"]
    production += [record.version_number] if is_in_production else []
    candidates = [number for number, stage in others.items() if stage != "production"]
    newest_first = sorted(production, reverse=True)
    return VersionsInUse(tuple(newest_first), len(newest_first), tuple(sorted(candidates, reverse=True)))


def _value(place: str, text: str) -> str | float | None:
    if text == "null":
        return None
    return float(text) if place.startswith(("metric ", "file ", "model file ", "threshold ")) else text


def _below(prefix: str, texts: Mapping[str, T]) -> dict[str, T]:
    return {place.removeprefix(prefix): text for place, text in texts.items() if place.startswith(prefix)}
