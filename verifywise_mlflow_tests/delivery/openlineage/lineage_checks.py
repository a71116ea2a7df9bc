"""Checks OpenLineage events: as OpenLineage's own classes read them, and our facets by their published schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.serde import Serde

from verifywise_mlflow_tests.delivery.event_checks import FACET_SCHEMAS, check_against_schema, read_schemas

_STANDARD_SCHEMAS = "https://openlineage.io/spec/"
"""What the library writes as the address of a standard schema. Nothing is read from there."""


def check_lineage_event(body: str | bytes) -> dict[str, Any]:
    """Check an event; return it."""
    event: dict[str, Any] = json.loads(body)
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert json.loads(Serde.to_json(_as_library_object(event))) == event
    for facets in _facets(event):
        for name, facet in facets.items():
            if facet["_schemaURL"].startswith(_STANDARD_SCHEMAS):
                assert not name.startswith("verifywise_")
            else:
                check_against_schema(facet, read_schemas(FACET_SCHEMAS)[facet["_schemaURL"]])
    return event


def _as_library_object(event: dict[str, Any]) -> RunEvent | DatasetEvent:
    """Build the event from the library's classes, which check times and ids, and refuse unknown fields."""
    common = {"eventTime": event["eventTime"], "producer": event["producer"]}
    if "dataset" in event:
        return DatasetEvent(**common, dataset=StaticDataset(**event["dataset"]))
    return RunEvent(
        **common,
        eventType=RunState(event["eventType"]),
        run=Run(**event["run"]),
        job=Job(**event["job"]),
        inputs=[InputDataset(**dataset) for dataset in event["inputs"]],
        outputs=[OutputDataset(**dataset) for dataset in event["outputs"]],
    )


def _facets(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    datasets = [*event.get("inputs", []), *event.get("outputs", []), event.get("dataset", {})]
    owners = [event.get("run", {}), event.get("job", {}), *datasets]
    return [owner.get(kind, {}) for owner in owners for kind in ("facets", "inputFacets", "outputFacets")]
