"""The lower bound for readers: the same calls in the same batches, with the standard library and without any check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from benchmarks.task import ReadCounts

RUNS_A_REQUEST, LOGGED_MODELS_A_REQUEST = 200, 200
_API = "api/2.0/mlflow"


def read_registry(uri: str) -> ReadCounts:
    """Read everything, but only the first page of experiments."""
    counts = ReadCounts()
    models = _listed(uri, "registered-models/search", "registered_models", 1_000)
    versions = _listed(uri, "model-versions/search", "model_versions", 10_000)
    experiments = _post(uri, "experiments/search", max_results=5_000, view_type="ALL")["experiments"]
    counts.models, counts.versions, counts.experiments = len(models), len(versions), len(experiments)

    ids = [experiment["experiment_id"] for experiment in experiments]
    run_ids = {version["run_id"] for version in versions if version.get("run_id")}
    sources = [version["source"].removeprefix("models:/") for version in versions]
    for batch in _batches([source for source in sources if source.startswith("m-")], LOGGED_MODELS_A_REQUEST):
        response = _post(
            uri,
            "logged-models/search",
            experiment_ids=ids,
            filter=f"model_id IN ({_quoted(batch)})",
            max_results=len(batch),
        )
        counts.logged_models += len(response["models"])
        run_ids |= {model["info"]["source_run_id"] for model in response["models"]}
    for batch in _batches(sorted(run_ids), RUNS_A_REQUEST):
        response = _post(
            uri,
            "runs/search",
            experiment_ids=ids,
            filter=f"attributes.run_id IN ({_quoted(batch)})",
            run_view_type="ALL",
            max_results=len(batch),
        )
        for run in response["runs"]:
            counts.runs += 1
            counts.values += sum(len(run["data"][kind]) for kind in ("metrics", "params", "tags"))
    return counts


def _listed(uri: str, call: str, name: str, page: int) -> list[Any]:
    listed: list[Any] = []
    token: dict[str, str] = {}
    while True:
        response = _get(uri, call, max_results=page, **token)
        listed += response.get(name, [])
        if not response.get("next_page_token"):
            return listed
        token = {"page_token": response["next_page_token"]}


def _batches(identifiers: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(identifiers), size):
        yield identifiers[start : start + size]


def _get(uri: str, call: str, **question: object) -> Any:
    return _send(Request(f"{uri}/{_API}/{call}?{urlencode(question)}"))  # noqa: S310


def _post(uri: str, call: str, **question: object) -> Any:
    body = json.dumps(question).encode()
    return _send(Request(f"{uri}/{_API}/{call}", data=body, headers={"Content-Type": "application/json"}))  # noqa: S310


def _send(request: Request) -> Any:
    with urlopen(request) as response:  # noqa: S310  # our own server
        return json.loads(response.read())


def _quoted(identifiers: list[str]) -> str:
    return ", ".join(f"'{identifier}'" for identifier in identifiers)
