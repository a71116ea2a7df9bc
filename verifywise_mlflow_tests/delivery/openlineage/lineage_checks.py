"""Checks OpenLineage events: by the classes that OpenLineage generates from its schemas, and our facets by our schemas.

No package that we know contains OpenLineage's schemas themselves. If ``OPENLINEAGE_SPEC`` names the folder ``spec`` of
a copy of OpenLineage's repository, every event is also validated against the schemas in this folder.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attr
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from openlineage.client import generated
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
from referencing import Registry, Resource

from verifywise_mlflow_tests.delivery.event_checks import check_against_schema, read_schemas
from verifywise_mlflow_tests.support.published_schemas import FACET_SCHEMAS

_STANDARD_SCHEMAS = "https://openlineage.io/spec/"
"""The address that the library writes for a standard schema. Nothing is read from this address."""
_SPECIFICATION = os.environ.get("OPENLINEAGE_SPEC")


def check_lineage_event(body: str | bytes) -> dict[str, Any]:
    """Check an event; return it."""
    event: dict[str, Any] = json.loads(body)
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert json.loads(Serde.to_json(_as_library_object(event))) == event
    for facets in _facets(event):
        for name, facet in facets.items():
            if facet["_schemaURL"].startswith(_STANDARD_SCHEMAS):
                assert not name.startswith("verifywise_")
                check_against_class(facet, _standard_facets()[facet["_schemaURL"]], name)
            else:
                check_against_schema(facet, read_schemas(FACET_SCHEMAS)[facet["_schemaURL"]])
    if _SPECIFICATION:
        assert list(official_problems(event, Path(_SPECIFICATION))) == []
    return event


def check_against_class(value: object, kind: Any, where: str) -> None:
    """Check that a value has only fields of a generated class, with their types, and all required fields."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None:
        assert type(None) in options, f"{where} is null"
        return
    (expected,) = (option for option in options if option is not type(None))
    if get_origin(expected) is list:
        assert isinstance(value, list), where
        for item in value:
            check_against_class(item, get_args(expected)[0], f"{where}[]")
    elif get_origin(expected) is dict:
        assert isinstance(value, dict), where
        for name, item in value.items():
            check_against_class(item, get_args(expected)[1], f"{where}.{name}")
    elif attr.has(expected):
        assert isinstance(value, dict), where
        fields, types = attr.fields_dict(expected), get_type_hints(expected)
        required = {name for name, field in fields.items() if field.default is attr.NOTHING}
        assert required <= value.keys() <= fields.keys(), f"{where} has {sorted(value)}, expected {sorted(fields)}"
        for name, item in value.items():
            check_against_class(item, types[name], f"{where}.{name}")
    elif issubclass(expected, Enum):
        assert value in [member.value for member in expected], f"{where} is {value!r}"
    else:
        assert type(value) is expected, f"{where} is {value!r}, expected {expected.__name__}"


def official_problems(event: Mapping[str, Any], specification: Path) -> Iterator[str]:
    """Yield the errors of an event by OpenLineage's own schemas, including those of its standard facets."""
    registry = _official_registry(specification)
    facets = [facet for facets in _facets(event) for facet in facets.values()]
    for address, value in [(event["schemaURL"], event), *((facet["_schemaURL"], facet) for facet in facets)]:
        if address.startswith(_STANDARD_SCHEMAS):
            validator = Draft202012Validator({"$ref": address}, registry=registry, format_checker=FormatChecker())
            yield from (f"{address}: {error.message}" for error in validator.iter_errors(value))


@cache
def _official_registry(specification: Path) -> Registry[Any]:
    paths = [*specification.glob("*.json"), *specification.glob("facets/*.json")]
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return Registry().with_resources((document["$id"], Resource.from_contents(document)) for document in documents)


@cache
def _standard_facets() -> Mapping[str, type]:
    """Return the generated classes of standard facets by the addresses of their schemas."""
    names = [module.name for module in pkgutil.iter_modules(generated.__path__)]
    modules = [importlib.import_module(f"{generated.__name__}.{name}") for name in names]
    classes = [member for module in modules for member in vars(module).values() if isinstance(member, type)]
    return {each._get_schema(): each for each in classes if hasattr(each, "_get_schema")}


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
