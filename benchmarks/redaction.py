"""``python -m benchmarks.redaction``: the cost per value of scanning for secrets, in runs as people log them."""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.tables import RESULTS, MarkdownTable, publish
from verifywise_mlflow.connector.models import TrainingRun
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.settings import RedactionSettings

PARAMS = 50
TAGS = 12
METRICS = 10

_WORDS = ("adam", "gini", "relu", "sqrt", "True", "None", "auto", "balanced", "sklearn.ensemble.RandomForestClassifier")


@dataclass(frozen=True, slots=True)
class Figure:
    """The cost for one kind of run."""

    runs: str
    microseconds_a_value: float
    """The median over the rounds."""
    seconds_of_100_000_runs: float


def sweep_run(number: int, rng: random.Random) -> TrainingRun:
    """Return a run of a hyperparameter sweep: between runs, numbers differ, but texts hardly differ."""
    params = {f"param_{index}": f"{rng.random():.6f}" for index in range(PARAMS // 2)}
    params |= {f"word_{index}": rng.choice(_WORDS) for index in range(PARAMS - len(params))}
    return _run(number, rng, params)


def distinct_run(number: int, rng: random.Random) -> TrainingRun:
    """Return a run without any text in common with other runs: the worst case for a cache of texts."""
    params = {f"param_{index}": f"s3://acme/{rng.getrandbits(128):032x}/part-{index}" for index in range(PARAMS)}
    return _run(number, rng, params)


def _run(number: int, rng: random.Random, params: dict[str, str]) -> TrainingRun:
    commit = f"{rng.getrandbits(160):040x}"
    history = json.dumps([{"run_id": f"{rng.getrandbits(128):032x}", "artifact_path": "model", "flavors": {}}] * 3)
    tags = {
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "/home/jo/projects/credit/train.py",
        "mlflow.user": "jo",
        "mlflow.log-model.history": history,
        "owner": "risk-team@acme.example",
        "risk_category": "high",
    } | {f"tag_{index}": f"value {index}" for index in range(TAGS - 6)}
    metrics = {f"metric_{index}": rng.random() for index in range(METRICS)}
    return TrainingRun(f"{number:032x}", params=params, tags=tags, metrics=metrics, run_name=f"run-{number}")


KINDS: dict[str, Callable[[int, random.Random], TrainingRun]] = {
    "a sweep's runs, as most are": sweep_run,
    "runs without a text in common": distinct_run,
}
PERSONAL = {"personal_data": {"redact": ["email", "phone", "iban", "card", "ip_address"], "keep_in": ["owner"]}}


def measure(runs: int, rounds: int) -> list[Figure]:
    """Generate runs and redact them, once for secrets only, and once also for personal data."""
    figures = []
    values = runs * (PARAMS + TAGS + METRICS)
    for name, make in KINDS.items():
        for label, settings in (
            ("secrets", RedactionSettings()),
            ("and personal data", RedactionSettings.model_validate(PERSONAL)),
        ):
            seconds = []
            for _ in range(rounds):
                rng = random.Random(1)  # noqa: S311  # the same runs each time
                read_runs = [make(number, rng) for number in range(runs)]
                redactor = EntityRedactor(settings)
                redactor.redact(read_runs[0])  # the catalog is loaded once per process
                began = time.process_time()
                for run in read_runs:
                    assert redactor.redact(run) is run
                seconds.append(time.process_time() - began)
            median = statistics.median(seconds)
            figures.append(Figure(f"{name}: {label}", median / values * 1e6, median / runs * 100_000))
    return figures


def main() -> int:
    """Measure, print a table and save the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redaction", description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="how many runs (2,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--json", type=Path, default=RESULTS / "redaction.json", help="where the figures go")
    arguments = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    EntityRedactor(RedactionSettings()).message("load the catalog of tokens: sixteen_letters_at_least")
    loading = time.monotonic() - began
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_000
    figures = measure(arguments.runs, arguments.rounds)
    rows = [
        (figure.runs, f"{figure.microseconds_a_value:.2f}", f"{figure.seconds_of_100_000_runs:,.0f}")
        for figure in figures
    ]
    values = f"{PARAMS + TAGS + METRICS} values a run"
    note = f"{values}. The catalog takes {loading:.1f} s to load, and {memory:,.0f} MB."
    headings = ("runs", "µs a value", "CPU seconds of 100,000 runs")
    publish(arguments.json, [MarkdownTable("redaction", headings, rows, note)], list(map(asdict, figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
