"""The file ``spdx.json``: the version in SPDX 3.0.1, with the profiles AI and Dataset.

The bindings are generated from the specification's model. They refuse a property, type or value that the model does not
have.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Final, TypeVar
from urllib.parse import quote

from spdx_python_model import v3_0_1 as spdx

from verifywise_mlflow import __version__
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.documents.blocks import shorten
from verifywise_mlflow.documents.pack.cyclonedx import package_url
from verifywise_mlflow.normalizer.dataset_reference import EVALUATION_CONTEXTS
from verifywise_mlflow.services.evidence_pack import PackContents
from verifywise_mlflow.services.record_parts import DataSet
from verifywise_mlflow.services.version_dossier import VersionDossier

E = TypeVar("E", bound=spdx.Element)

# Only words that have the same meaning in SPDX. A guess would be our own claim. The CycloneDX file has all other words.
_RISKS: Final = {
    "high": spdx.ai_SafetyRiskAssessmentType.high,
    "medium": spdx.ai_SafetyRiskAssessmentType.medium,
    "low": spdx.ai_SafetyRiskAssessmentType.low,
}
_SENSITIVE: Final = {"special_category": spdx.PresenceType.yes, "none": spdx.PresenceType.no}
_CONFIDENTIALITY: Final = {"public": spdx.dataset_ConfidentialityLevelType.clear}


def spdx_json(contents: PackContents) -> bytes:
    """Return the SPDX document."""
    document = _Document(contents.dossier)
    buffer = io.BytesIO()
    spdx.JSONLDSerializer().write(document.objects, buffer)
    return (json.dumps(json.loads(buffer.getvalue()), indent=1) + "\n").encode("ascii")


class _Document:
    """Collects the elements of one document. Identifiers are derived from the version and the time of its state."""

    def __init__(self, known: VersionDossier) -> None:
        self._known = known
        self.objects = spdx.SHACLObjectSet()
        record = known.record
        parts = (known.tenant_id, record.model_name, str(record.version_number), known.as_of.isoformat())
        self._base = f"urn:verifywise-mlflow:{':'.join(quote(_text(part), safe='') for part in parts)}"
        self._creation = spdx.CreationInfo(
            _id="_:creation", specVersion="3.0.1", created=known.as_of.astimezone(UTC).replace(microsecond=0)
        )
        agent = self._add(spdx.SoftwareAgent, "agent", name="verifywise-mlflow", comment=f"version {__version__}")
        self._creation.createdBy = [agent]
        self.objects.add(self._creation)
        model = self._model()
        self._relate(model, spdx.RelationshipType.contains, self._files())
        self._relate(model, spdx.RelationshipType.dependsOn, self._packages())
        for relationship, data_sets in self._data_sets().items():
            self._relate(model, relationship, data_sets)
        profiles = spdx.ProfileIdentifierType
        bom = self._add(
            spdx.software_Sbom, "sbom", software_sbomType=[spdx.software_SbomType.analyzed], rootElement=[model]
        )
        others = [item for item in self.objects.foreach_type(spdx.Element) if item is not bom]
        others.sort(key=lambda item: str(item.get_id()))  # the set has no order
        bom.element = [*others]
        self._add(
            spdx.SpdxDocument,
            "document",
            name=_text(f"{record.model_name} version {record.version_number}"),
            rootElement=[bom],
            profileConformance=[profiles.core, profiles.software, profiles.ai, profiles.dataset],
        )

    def _add(self, kind: Callable[..., E], local: str, /, **properties: object) -> E:
        element = kind(_id=f"{self._base}:{local}", creationInfo=self._creation, **properties)
        self.objects.add(element)
        return element

    def _relate(self, source: spdx.Element, relationship: str, targets: Sequence[spdx.Element]) -> None:
        if targets:
            name = f"relationship:{relationship.rpartition('/')[2]}"
            self._add(spdx.Relationship, name, from_=source, to=list(targets), relationshipType=relationship)

    def _model(self) -> spdx.ai_AIPackage:
        known, record = self._known, self._known.record
        model = self._add(
            spdx.ai_AIPackage,
            "model",
            name=_text(record.model_name),
            software_packageVersion=str(record.version_number),
            software_primaryPurpose=spdx.software_SoftwarePurpose.model,
            ai_hyperparameter=_entries(record.hyperparameters or {}),
            ai_metric=_entries({name: repr(value) for name, value in (record.metrics or {}).items()}),
        )
        if record.description:
            model.description = _text(record.description, 10_000)
        if record.business_purpose:
            model.ai_informationAboutApplication = _text(record.business_purpose, 10_000)
        if record.risk_category in _RISKS:
            model.ai_safetyRiskAssessment = _RISKS[record.risk_category]
        if record.data_sensitivity in _SENSITIVE:
            model.ai_useSensitivePersonalInformation = _SENSITIVE[record.data_sensitivity]
        if record.created_at:
            model.builtTime = record.created_at.astimezone(UTC).replace(microsecond=0)
        if known.environment and known.environment.flavors:
            model.ai_typeOfModel = [_text(flavor) for flavor in sorted(known.environment.flavors)]
        if record.source_run_id:
            model.ai_informationAboutTraining = _text(f"MLflow run {record.source_run_id}")
        return model

    def _files(self) -> list[spdx.Element]:
        manifest = self._known.manifest
        return [
            self._add(
                spdx.software_File,
                f"file:{number}",
                name=_text(f"{file.root}/{file.path}"),
                comment=file.kind.value,
                verifiedUsing=(
                    [spdx.Hash(algorithm=spdx.HashAlgorithm.sha256, hashValue=file.sha256)] if file.sha256 else []
                ),
            )
            for number, file in enumerate(manifest.files if manifest else (), 1)
        ]

    def _packages(self) -> list[spdx.Element]:
        environment = self._known.environment
        packages = {package_url(package): package for package in (environment.packages if environment else ())}
        elements: list[spdx.Element] = []
        for number, (url, package) in enumerate(packages.items(), 1):
            element = self._add(
                spdx.software_Package,
                f"package:{number}",
                name=_text(package.name),
                software_packageUrl=url,
                software_primaryPurpose=spdx.software_SoftwarePurpose.library,
                software_sourceInfo=_text(f"{package.specifier or 'any version'}, stated in {package.source}"),
            )
            if package.exact_version:
                element.software_packageVersion = package.exact_version
            elements.append(element)
        return elements

    def _data_sets(self) -> dict[str, list[spdx.Element]]:
        """Return the data sets, grouped by how the model used them."""
        by_use: dict[str, list[spdx.Element]] = {}
        for number, data_set in enumerate(self._known.data_sets, 1):
            is_evaluation = (data_set.context or "").casefold() in EVALUATION_CONTEXTS
            use = spdx.RelationshipType.testedOn if is_evaluation else spdx.RelationshipType.trainedOn
            by_use.setdefault(use, []).append(self._data_set(number, data_set))
        return by_use

    def _data_set(self, number: int, data_set: DataSet) -> spdx.Element:
        record = self._known.record
        digest, source = data_set.digest or "not recorded", data_set.source or "not recorded"
        element = self._add(
            spdx.dataset_DatasetPackage,
            f"data-set:{number}",
            name=_text(data_set.name) or "without a name",
            dataset_datasetType=[spdx.dataset_DatasetType.other],
            software_primaryPurpose=spdx.software_SoftwarePurpose.data,
            software_sourceInfo=_text(f"digest {digest} as MLflow computes it; source {source}"),
        )
        if data_set.context:
            element.dataset_intendedUse = _text(data_set.context)
        if record.data_sensitivity in _SENSITIVE:
            element.dataset_hasSensitivePersonalInformation = _SENSITIVE[record.data_sensitivity]
        if record.confidentiality in _CONFIDENTIALITY:
            element.dataset_confidentialityLevel = _CONFIDENTIALITY[record.confidentiality]
        return element


def _entries(values: Mapping[str, str]) -> list[spdx.DictionaryEntry]:
    return [spdx.DictionaryEntry(key=_text(name), value=_text(value, 10_000)) for name, value in sorted(values.items())]


def _text(text: str, max_length: int = 2_000) -> str:
    return escape_invisible(shorten(text, max_length))
