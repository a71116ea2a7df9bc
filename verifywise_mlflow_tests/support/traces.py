"""Traces with assessments, as a client sends them to MLflow, with one request for each trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4


def assessment(name: str, value: object, *, source: str = "CODE", by: str = "a-scorer") -> dict[str, object]:
    """Return an assessment of the output of a trace."""
    return {
        "assessment_name": name,
        "source": {"source_type": source, "source_id": by},
        "feedback": {"value": value},
        "rationale": "because of hunter2",
    }


def trace_request(
    experiment_id: str,
    model_id: str | None,
    assessments: Sequence[Mapping[str, object]] = (),
    *,
    run_id: str | None = None,
) -> dict[str, object]:
    """Return the body of a request to ``traces`` of MLflow's API 3.0."""
    metadata = {"mlflow.modelId": model_id, "mlflow.sourceRun": run_id}
    return {
        "trace": {
            "trace_info": {
                "trace_id": f"tr-{uuid4().hex}",
                "trace_location": {
                    "type": "MLFLOW_EXPERIMENT",
                    "mlflow_experiment": {"experiment_id": experiment_id},
                },
                "request_time": "2026-03-01T08:00:00Z",
                "state": "OK",
                "trace_metadata": {key: value for key, value in metadata.items() if value},
                "request_preview": "hunter2",
                "assessments": list(assessments),
            }
        }
    }
