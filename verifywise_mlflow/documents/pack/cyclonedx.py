"""The file ``bom.cdx.json``: the version as a CycloneDX 1.6 bill of materials with a model card.

The model of cyclonedx-python-lib has no ``modelCard``, so the document is built here. Tests validate the document
against the official schema, which is a part of that library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from packageurl import PackageURL

from verifywise_mlflow import __version__
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.documents.blocks import shorten
from verifywise_mlflow.documents.pack.json_text import pretty
from verifywise_mlflow.documents.version.wording import show_value
from verifywise_mlflow.normalizer.field_spec import FieldType
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.services.evidence_pack import PackContents
from verifywise_mlflow.services.record_parts import DataSet, Package
from verifywise_mlflow.services.version_dossier import VersionDossier

_MODEL: Final = "model"
_OTHERWISE_SHOWN: Final = (
    *("model_name", "version_number", "description", "business_purpose", "base_model", "base_model_license"),
    *("dataset_reference", "evidence_files"),
)
"""The fields that have their own members in the document."""
_PROPERTY_FIELDS: Final = tuple(
    name
    for name, spec in FIELD_SPECS.items()
    if name not in (*_OTHERWISE_SHOWN, "linked_prompts") and spec.type is not FieldType.JSON_OBJECT
)
"""All other fields whose values are short texts. ``record.json`` has the fields whose values have a structure."""
_LIBRARY_OF_FLAVOR: Final = {"sklearn": "scikit-learn", "pytorch": "PyTorch", "xgboost": "XGBoost"}


def cyclonedx_json(contents: PackContents) -> bytes:
    """Return the bill of materials."""
    known = contents.dossier
    record = known.record
    identity = f"verifywise-mlflow:{known.tenant_id}:{record.model_name}:{record.version_number}:{known.as_of}"
    data_sets = [_data_component(known, number, item) for number, item in enumerate(known.data_sets, 1)]
    packages = _packages(known)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {
            # The time of the state, not of writing, so that equal states give equal bytes.
            "timestamp": known.as_of.astimezone(UTC).isoformat(),
            "tools": {"components": [{"type": "application", "name": "verifywise-mlflow", "version": __version__}]},
            "component": _model_component(known),
        },
        "components": [*data_sets, *packages],
        "dependencies": [
            {"ref": _MODEL, "dependsOn": [component["bom-ref"] for component in [*data_sets, *packages]]},
        ],
    }
    return pretty(document)


def _model_component(known: VersionDossier) -> Mapping[str, object]:
    record = known.record
    component: dict[str, object] = {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "group": _text(known.tenant_id),
        "name": _text(record.model_name),
        "version": str(record.version_number),
    }
    if record.description:
        component["description"] = _text(record.description, 10_000)
    if record.base_model:
        ancestor: dict[str, object] = {"type": "machine-learning-model", "name": _text(record.base_model)}
        if record.base_model_license:
            ancestor["licenses"] = [{"license": {"name": _text(record.base_model_license)}}]
        component["pedigree"] = {"ancestors": [ancestor]}
    component["modelCard"] = _model_card(known)
    component["properties"] = list(_properties(known))
    if files := list(_files(known)):
        component["components"] = files
    return component


def _model_card(known: VersionDossier) -> Mapping[str, object]:
    record, environment = known.record, known.environment
    parameters: dict[str, object] = {
        "datasets": [{"ref": _data_ref(number)} for number, _ in enumerate(known.data_sets, 1)]
    }
    if environment:
        if environment.tasks:
            parameters["task"] = _text(", ".join(environment.tasks))
        if flavor := next((name for name in environment.flavors if name != "python_function"), None):
            parameters["architectureFamily"] = _text(_LIBRARY_OF_FLAVOR.get(flavor, flavor))
    card: dict[str, object] = {"modelParameters": parameters}
    if record.metrics:
        card["quantitativeAnalysis"] = {
            "performanceMetrics": [
                {"type": _text(name), "value": repr(value)} for name, value in sorted(record.metrics.items())
            ]
        }
    considerations: dict[str, object] = {}
    if record.business_purpose:
        considerations["useCases"] = [_text(record.business_purpose, 10_000)]
    if record.risk_category:
        considerations["ethicalConsiderations"] = [{"name": f"Declared risk category: {record.risk_category}"}]
    if considerations:
        card["considerations"] = considerations
    card["properties"] = [
        {"name": f"mlflow:param:{_text(name)}", "value": _text(value, 10_000)}
        for name, value in sorted((record.hyperparameters or {}).items())
    ]
    return card


def _properties(known: VersionDossier) -> Iterator[Mapping[str, object]]:
    yield {"name": "verifywise:badge", "value": known.badge.badge if known.badge else "not evaluated"}
    for judged in known.gaps:
        state = "accepted" if judged.waiver else "open"
        yield {"name": f"verifywise:gap:{judged.verdict.rule_id}", "value": f"{judged.verdict.verdict}, {state}"}
    for field in _PROPERTY_FIELDS:
        value = getattr(known.record, field)
        if value is not None:
            source = (known.state.origins.get(field) or {}).get("source")
            name = f"verifywise:record:{field}"
            yield {"name": name, "value": _text(show_value(value, 2_000))}
            if source:
                yield {"name": f"{name}:source", "value": str(source)}
    for missing in known.unknowns.missing_fields:
        if missing.field in FIELD_SPECS:
            yield {"name": f"verifywise:unknown:{missing.field}", "value": missing.because.value}


def _files(known: VersionDossier) -> Iterator[Mapping[str, object]]:
    for number, file in enumerate(known.manifest.files if known.manifest else (), 1):
        component: dict[str, object] = {
            "type": "file",
            "bom-ref": f"file:{number}",
            "name": _text(file.path),
            "properties": [
                {"name": "verifywise:file:root", "value": file.root},
                {"name": "verifywise:file:kind", "value": file.kind.value},
            ],
        }
        if file.sha256:
            component["hashes"] = [{"alg": "SHA-256", "content": file.sha256}]
        yield component


def _data_ref(number: int) -> str:
    return f"data:{number}"


def _data_component(known: VersionDossier, number: int, data_set: DataSet) -> dict[str, object]:
    contents: dict[str, object] = {
        "properties": [
            {"name": f"mlflow:dataset:{name}", "value": _text(value)}
            for name, value in (
                ("digest", data_set.digest),
                ("source", data_set.source),
                ("source_type", data_set.source_type),
                ("context", data_set.context),
            )
            if value
        ]
    }
    name = _text(data_set.name) or "without a name"
    data: dict[str, object] = {"type": "dataset", "name": name, "contents": contents}
    if known.record.data_sensitivity:
        data["sensitiveData"] = [_text(known.record.data_sensitivity)]
    if known.record.confidentiality:
        data["classification"] = _text(known.record.confidentiality)
    return {"type": "data", "bom-ref": _data_ref(number), "name": name, "data": [data]}


def _packages(known: VersionDossier) -> Sequence[dict[str, object]]:
    """Return the packages of the environment. Only an exact version is part of a package URL."""
    if known.environment is None:
        return []
    components: dict[str, dict[str, object]] = {}
    if python := known.environment.python_version:
        purl = PackageURL("generic", None, "python", python).to_string()
        components[purl] = {"type": "platform", "bom-ref": purl, "name": "python", "version": python, "purl": purl}
    for package in known.environment.packages:
        purl = package_url(package)
        component = components.setdefault(purl, {"type": "library", "bom-ref": purl, "name": _text(package.name)})
        if package.exact_version:
            component["version"] = package.exact_version
        component["purl"] = purl
        properties = [
            {"name": "verifywise:package:specifier", "value": _text(package.specifier) or "any version"},
            {"name": "verifywise:package:stated_in", "value": _text(package.source)},
        ]
        component["properties"] = [*_existing(component), *properties]
    return list(components.values())


def package_url(package: Package) -> str:
    """Return the package URL of a Python package."""
    name = _text(package.name) or "unnamed"
    return PackageURL("pypi", None, name, package.exact_version).to_string()


def _existing(component: Mapping[str, object]) -> Sequence[object]:
    properties = component.get("properties")
    return properties if isinstance(properties, list) else []


def _text(text: str | None, max_length: int = 2_000) -> str:
    return escape_invisible(shorten(text or "", max_length))
