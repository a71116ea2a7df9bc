"""Checks what a server offers for generative applications: prompts, agents, evaluation data sets, counts of traces.

A request to a feature's endpoint shows whether the server offers the feature. Behind a gateway, the release number
proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.connector.tracking_reader import AGENT_EXPERIMENTS
from verifywise_mlflow.http.errors import HttpError, NotFoundError, RequestRejectedError
from verifywise_mlflow.services.check_result import CheckResult

MAX_EXPERIMENTS: Final = 1_000
"""The maximum number of experiments whose traces are counted. The first experiments are counted."""
_OF_DATABRICKS: Final = "the prompts of Databricks have an API of their own, which is not read"

# In earlier releases, the path may match another endpoint that expects an ID at this place and refuses the method.
_NOT_OFFERED: Final = (EndpointNotFoundError, NotFoundError, RequestRejectedError)


def check_generative(reader: Reader, experiment_ids: Sequence[str]) -> Iterator[CheckResult]:
    """Yield a result for each kind of object. A kind that the server lacks is not a failure: no sync requires it.

    Args:
        reader: The connection. It must have listed models and versions, which also lists the prompts.
        experiment_ids: The experiments that the account may read.
    """
    yield (prompts := _prompts(reader))
    experiments = experiment_ids[:MAX_EXPERIMENTS]
    if not experiments or prompts.detail == _OF_DATABRICKS:
        return
    yield _agents(reader, experiments)
    yield _evaluation_datasets(reader, experiments)
    yield _traces(reader, experiments)


def _prompts(reader: Reader) -> CheckResult:
    subject = "prompts"
    try:
        listed = reader.prompts()
        versions = reader.prompt_versions() if listed and listed.rows else None
    except HttpError as error:
        return CheckResult(subject, "in part", str(error))
    if listed is None:
        return CheckResult(subject, "nothing there", _OF_DATABRICKS)
    if versions is None:
        return CheckResult(subject, "nothing there", "none, or none that the account may read")
    detail = f"{len(listed.rows):,} with {len(versions.rows):,} versions; their texts are never stored"
    return CheckResult(subject, "readable", detail)


def _agents(reader: Reader, experiments: Sequence[str]) -> CheckResult:
    subject = "agents"
    try:
        listing = reader.agents(experiments[:AGENT_EXPERIMENTS])
    except HttpError as error:
        return CheckResult(subject, "nothing there", f"they cannot be listed, and nothing needs them: {error}")
    if listing is None:
        return CheckResult(subject, "nothing there", "the server does not offer logged models")
    detail = f"{len(listing.rows):,} logged models of the type agent; each reconcile lists them"
    return CheckResult(subject, "readable" if listing.rows else "nothing there", detail if listing.rows else "none")


def _evaluation_datasets(reader: Reader, experiments: Sequence[str]) -> CheckResult:
    subject = "evaluation data sets"
    try:
        listing = reader.evaluation_datasets(experiments)
    except _NOT_OFFERED:
        return CheckResult(subject, "nothing there", "the server does not offer them")
    except HttpError as error:
        return CheckResult(subject, "nothing there", f"they cannot be listed, and nothing needs them: {error}")
    with_digest = sum(dataset.digest is not None for dataset in listing.rows)
    detail = f"{len(listing.rows):,}, {with_digest:,} of them with a digest; records name those that metrics refer to"
    return CheckResult(subject, "readable" if listing.rows else "nothing there", detail if listing.rows else "none")


def _traces(reader: Reader, experiments: Sequence[str]) -> CheckResult:
    subject = "traces"
    try:
        counts = reader.trace_counts(experiments)
    except _NOT_OFFERED:
        return CheckResult(subject, "nothing there", "the server cannot count them, and none is stored")
    except HttpError as error:
        return CheckResult(subject, "nothing there", f"they cannot be counted, and none is stored: {error}")
    detail = f"{counts.traces:,} with {counts.assessments:,} assessments, counted by the server, and none is stored"
    return CheckResult(subject, "readable" if counts.traces else "nothing there", detail if counts.traces else "none")
