"""The values that a version shows, by the names that outlines use, each with its source.

A name is a field of the canonical record, or one of ``COMBINED``. The values of ``COMBINED`` are computed from a part
of the record, such as the packages, or from other stored data, such as the lifecycle events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.artifacts.manifest import FileKind
from verifywise_mlflow.documents.blocks import Form, shorten, show_time
from verifywise_mlflow.documents.version.wording import label, origin_note, show_value
from verifywise_mlflow.normalizer.dataset_reference import EVALUATION_CONTEXTS
from verifywise_mlflow.normalizer.mapping.key_folding import is_system_key
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.services.record_parts import DataSet
from verifywise_mlflow.services.system_facts import SystemFacts
from verifywise_mlflow.services.version_dossier import VersionDossier

MAX_ROWS: Final = 40
"""The maximum number of rows of one kind, such as metrics. The JSON files of a pack have all rows."""

_WRITTEN_BY_PEOPLE: Final = frozenset(("version tag", "model tag", "run tag", "config"))
"""Sources of claims, except for MLflow's own tags."""
_REPORTS: Final = frozenset((FileKind.EVALUATION, FileKind.BIAS_REPORT, FileKind.EXPLANATION, FileKind.SAFETY_REPORT))


@dataclass(frozen=True, slots=True)
class ShownValue:
    """A value that MLflow shows."""

    label: str
    text: str
    source: str
    """The source of the value, in the form in which people can look it up."""
    is_claim: bool = False
    """Whether a person wrote the value into a tag or a description. Nothing then proves the value."""
    form: Form = "text"


def shown_values(name: str, dossier: VersionDossier, facts: SystemFacts) -> list[ShownValue]:
    """Return a version's values under a name of an outline: at most ``MAX_ROWS`` rows, and a note on further rows."""
    rows = list(COMBINED[name](dossier, facts) if name in COMBINED else _field(name, dossier))
    if len(rows) > MAX_ROWS:
        rows[MAX_ROWS:] = [ShownValue("and more", f"{len(rows) - MAX_ROWS:,} more", "record.json has all of them")]
    return rows


def of_origin(label: str, text: str, origin: Mapping[str, object] | None) -> ShownValue:
    """Return a value of the record with its source."""
    source, key = (str(origin.get(name)) for name in ("source", "key")) if origin else ("", "")
    is_claim = (source in _WRITTEN_BY_PEOPLE and not is_system_key(key)) or key == "description"
    return ShownValue(label, text, origin_note(origin) or "Recorded by MLflow", is_claim)


def _field(name: str, dossier: VersionDossier) -> Iterator[ShownValue]:
    value = getattr(dossier.record, name)
    origins = dossier.state.origins
    if value is None or value in ([], {}):
        return
    if isinstance(value, Mapping):
        for key in value:
            yield of_origin(key, show_value(value[key]), origins.get(f"{name}.{key}") or origins.get(name))
        return
    yield of_origin(label(name), show_value(value), origins.get(name))


def _earlier_versions(_dossier: VersionDossier, facts: SystemFacts) -> Iterator[ShownValue]:
    for version in facts.earlier_versions:
        created = f"created {show_time(version.created_at)}" if version.created_at else "time of creation not recorded"
        stage = f", {version.lifecycle_stage}" if version.lifecycle_stage else ""
        source = "Recorded by MLflow: the listing of versions"
        yield ShownValue(f"Earlier version {version.version_number}", f"{created}{stage}", source)


def _python_version(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    if environment := dossier.environment:
        for software, version in (("Python", environment.python_version), ("MLflow", environment.mlflow_version)):
            if version:
                yield ShownValue(software, version, _files(environment.sources))


def _packages(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    for package in dossier.environment.packages if dossier.environment else ():
        pin = "" if package.pinned else " (not pinned)"
        yield ShownValue(
            package.name, f"{package.specifier or 'any version'}{pin}", f"file {package.source}", form="code"
        )


def _flavors(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    for name, version in dossier.environment.flavors.items() if dossier.environment else ():
        yield ShownValue(f"Library {name}", version or "version not stated", "file MLmodel")


def _input_schema(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    signature = dossier.environment.signature if dossier.environment else None
    if signature:
        yield ShownValue("Model signature", f"declares {', '.join(signature)}", "file MLmodel")


def _hardware_metrics(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    for name, value in (dossier.record.metrics or {}).items():
        if name.startswith("system/"):
            yield ShownValue(name, f"{value:g}", "metric of the training run")


def _metrics(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    for name, value in (dossier.record.metrics or {}).items():
        if not name.startswith("system/"):
            yield ShownValue(name, f"{value:g}", "metric of the training run")


def _data(data_sets: Iterable[DataSet]) -> Iterator[ShownValue]:
    for data in data_sets:
        parts = [f"digest {data.digest}" if data.digest else "no digest"]
        parts += [f"{name} {text}" for name, text in (("source", data.source), ("used for", data.context)) if text]
        yield ShownValue(data.name or "without a name", shorten("; ".join(parts)), "data set of the training run")


def _data_sets(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    return _data(dossier.data_sets)


def _evaluation_data(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    return _data(data for data in dossier.data_sets if (data.context or "").strip().lower() in EVALUATION_CONTEXTS)


def _of_kinds(dossier: VersionDossier, kinds: frozenset[FileKind]) -> Iterator[ShownValue]:
    for file in dossier.manifest.files if dossier.manifest else ():
        if file.kind in kinds:
            digest = f"sha256 {file.sha256}" if file.sha256 else f"not hashed: {file.note or 'no reason recorded'}"
            yield ShownValue(file.kind.value.capitalize(), digest, f"file {file.path} of the {file.root}", form="code")


def _reports(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    return _of_kinds(dossier, _REPORTS)


def _model_cards(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    return _of_kinds(dossier, frozenset((FileKind.MODEL_CARD, FileKind.DATA_SHEET)))


def _all_files(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    if manifest := dossier.manifest:
        hashed = sum(file.sha256 is not None for file in manifest.files)
        text = f"{hashed:,} of {len(manifest.files):,} files hashed"
        yield ShownValue("Files", text, "SHA-256 of the bytes, computed by the sync; manifest.oms.json has them")


def _signatures(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    for signature in dossier.manifest.signatures if dossier.manifest else ():
        signer = f", by {signature.signer}" if signature.signer else ""
        yield ShownValue("Signature", f"{signature.status}{signer}", f"file {signature.path}")


def _lifecycle(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    for recorded in dossier.lifecycle_events:
        yield ShownValue(
            show_time(recorded.seen_at), shorten(recorded.event.sentence), "lifecycle event, seen by a sync"
        )


def _changed_files(dossier: VersionDossier, _facts: SystemFacts) -> Iterator[ShownValue]:
    for event, seen_at in dossier.integrity_events:
        yield ShownValue(show_time(seen_at), shorten(event.change.sentence), "integrity event, seen by a sync")


def _files(names: Iterable[str]) -> str:
    return f"file {', '.join(names)}" if names else "the model's files"


COMBINED: Final[Mapping[str, Callable[[VersionDossier, SystemFacts], Iterator[ShownValue]]]] = {
    "earlier_versions": _earlier_versions,
    "python_version": _python_version,
    "packages": _packages,
    "flavors": _flavors,
    "input_schema": _input_schema,
    "hardware_metrics": _hardware_metrics,
    "metrics": _metrics,
    "data_sets": _data_sets,
    "evaluation_data": _evaluation_data,
    "reports": _reports,
    "model_cards": _model_cards,
    "files": _all_files,
    "signatures": _signatures,
    "lifecycle": _lifecycle,
    "changed_files": _changed_files,
}
"""The names that are not fields of the record, and ``metrics``, whose parts belong to different clauses."""

VALUE_NAMES: Final = frozenset((*COMBINED, *FIELD_SPECS))
"""All names that an outline may use."""
