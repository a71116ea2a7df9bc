"""The floor: the same calls in the same batches, with the standard library and without a single check."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from benchmarks.task import Found

RUNS_A_REQUEST = 200
_API = "api/2.0/mlflow"


def read_registry(uri: str) -> Found:
    """Read everything; whatever does not fit on a first page is missed."""
    found = Found()
    models = _get(uri, "registered-models/search", max_results=1_000)["registered_models"]
    versions = _get(uri, "model-versions/search", max_results=10_000)["model_versions"]
    experiments = _post(uri, "experiments/search", max_results=5_000, view_type="ALL")["experiments"]
    found.models, found.versions, found.experiments = len(models), len(versions), len(experiments)

    ids = [experiment["experiment_id"] for experiment in experiments]
    run_ids = {version["run_id"] for version in versions if version.get("run_id")}
    sources = [version["source"].removeprefix("models:/") for version in versions]
    if logged := [source for source in sources if source.startswith("m-")]:
        answer = _post(
            uri,
            "logged-models/search",
            experiment_ids=ids,
            filter=f"model_id IN ({_quoted(logged)})",
            max_results=len(logged),
        )
        found.logged_models = len(answer["models"])
        run_ids |= {model["info"]["source_run_id"] for model in answer["models"]}
    wanted = sorted(run_ids)
    for start in range(0, len(wanted), RUNS_A_REQUEST):
        batch = wanted[start : start + RUNS_A_REQUEST]
        answer = _post(
            uri,
            "runs/search",
            experiment_ids=ids,
            filter=f"attributes.run_id IN ({_quoted(batch)})",
            run_view_type="ALL",
            max_results=len(batch),
        )
        for run in answer["runs"]:
            found.runs += 1
            found.values += sum(len(run["data"][kind]) for kind in ("metrics", "params", "tags"))
    return found


def _get(uri: str, call: str, **question: object) -> Any:
    return _answer(Request(f"{uri}/{_API}/{call}?{urlencode(question)}"))  # noqa: S310


def _post(uri: str, call: str, **question: object) -> Any:
    body = json.dumps(question).encode()
    return _answer(Request(f"{uri}/{_API}/{call}", data=body, headers={"Content-Type": "application/json"}))  # noqa: S310


def _answer(request: Request) -> Any:
    with urlopen(request) as response:  # noqa: S310  # our own server
        return json.loads(response.read())


def _quoted(identifiers: list[str]) -> str:
    return ", ".join(f"'{identifier}'" for identifier in identifiers)
