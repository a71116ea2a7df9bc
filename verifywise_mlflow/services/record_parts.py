"""Typed values for the JSON parts of a canonical record: files, data sets, the environment.

Every record, present or former, has these parts, so they can be shown as of any time. Earlier releases may have written
fewer members: a member that is missing or of another type is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast, get_args

from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    FileKind,
    ManifestStatus,
    ModelSignature,
    Root,
    SignatureStatus,
)
from verifywise_mlflow.normalizer.record import CanonicalRecord


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that the record names."""

    name: str
    digest: str | None
    source_type: str | None
    source: str | None
    context: str | None
    """The use of the data set, such as ``training`` or ``evaluation``."""


@dataclass(frozen=True, slots=True)
class PromptUse:
    """A prompt that the record names, and its state in the registry."""

    name: str
    version_number: int | None
    alias: str | None
    state: str
    template_sha256: str | None


@dataclass(frozen=True, slots=True)
class Package:
    """A package that an environment file requires."""

    name: str
    specifier: str
    source: str
    """The environment file that requires the package."""
    pinned: bool

    @property
    def exact_version(self) -> str | None:
        """The version, if the file states exactly one."""
        version = self.specifier.strip().lstrip("=").strip()
        is_exact = self.specifier.startswith("==") and version and not any(mark in version for mark in "*,;<>=!~ @")
        return version if is_exact else None


@dataclass(frozen=True, slots=True)
class Environment:
    """The runtime environment that the model declares."""

    python_version: str | None
    mlflow_version: str | None
    packages: tuple[Package, ...]
    sources: tuple[str, ...]
    flavors: Mapping[str, str | None]
    tasks: tuple[str, ...]
    serialization_format: str | None
    signature: tuple[str, ...] | None
    """Which of ``inputs``, ``outputs`` and ``params`` the model declares; None without a signature."""
    is_reproducible: bool
    missing_pins: tuple[str, ...]
    problems: tuple[str, ...]


_ROOTS: Final = frozenset(get_args(Root))
_KINDS: Final = {kind.value: kind for kind in FileKind}


def data_sets(record: CanonicalRecord) -> tuple[DataSet, ...]:
    """Return the data sets that the record names."""
    return tuple(
        DataSet(
            _text(entry.get("name")) or "",
            *(_text(entry.get(name)) for name in ("digest", "source_type", "source", "context")),
        )
        for entry in _objects(record.dataset_reference)
    )


def prompts(record: CanonicalRecord) -> tuple[PromptUse, ...]:
    """Return the prompts that the record names."""
    return tuple(
        PromptUse(
            _text(entry.get("name")) or "",
            _number(entry.get("version")),
            _text(entry.get("alias")),
            _text(entry.get("state")) or "",
            _text(entry.get("template_sha256")),
        )
        for entry in _objects(record.linked_prompts)
    )


def environment(record: CanonicalRecord) -> Environment | None:
    """Return the environment; None if the record has no environment."""
    stored = record.runtime_environment
    if not isinstance(stored, Mapping):
        return None
    flavors = stored.get("flavors")
    signature = stored.get("signature")
    return Environment(
        python_version=_text(stored.get("python_version")),
        mlflow_version=_text(stored.get("mlflow_version")),
        packages=tuple(
            Package(
                _text(entry.get("name")) or "",
                _text(entry.get("specifier")) or "",
                _text(entry.get("source")) or "",
                entry.get("pinned") is True,
            )
            for entry in _objects(stored.get("packages"))
        ),
        sources=_texts(stored.get("sources")),
        flavors={name: _text(version) for name, version in flavors.items()} if isinstance(flavors, Mapping) else {},
        tasks=_texts(stored.get("tasks")),
        serialization_format=_text(stored.get("serialization_format")),
        signature=None if signature is None else _texts(signature),
        is_reproducible=stored.get("reproducible") is True,
        missing_pins=_texts(stored.get("missing_pins")),
        problems=_texts(stored.get("problems")),
    )


def manifest(record: CanonicalRecord) -> ArtifactManifest | None:
    """Return the files, without the environment; None if the record has no manifest."""
    stored = record.artifact_manifest
    if not isinstance(stored, Mapping):
        return None
    status = _text(stored.get("status"))
    return ArtifactManifest(
        location=_text(stored.get("location")),
        status=cast("ManifestStatus", status if status in get_args(ManifestStatus) else "partial"),
        reason=_text(stored.get("reason")),
        files=tuple(_file(entry) for entry in _objects(stored.get("files"))),
        environment=None,
        digest=_text(stored.get("digest")),
        signatures=tuple(_signature(entry) for entry in _objects(stored.get("signatures"))),
    )


def _file(entry: Mapping[str, object]) -> ArtifactFile:
    root = _text(entry.get("root"))
    return ArtifactFile(
        root=cast("Root", root if root in _ROOTS else "model"),
        path=_text(entry.get("path")) or "",
        size=_number(entry.get("size")),
        sha256=_text(entry.get("sha256")),
        kind=_KINDS.get(_text(entry.get("kind")) or "", FileKind.OTHER),
        note=_text(entry.get("note")),
    )


def _signature(entry: Mapping[str, object]) -> ModelSignature:
    status = _text(entry.get("status"))
    return ModelSignature(
        path=_text(entry.get("path")) or "",
        status=cast("SignatureStatus", status if status in get_args(SignatureStatus) else "not verified"),
        reason=_text(entry.get("reason")),
        signer=_text(entry.get("signer")),
        signed_count=_number(entry.get("signed_count")),
        differences=_texts(entry.get("differences")),
        difference_count=_number(entry.get("difference_count")) or 0,
        left_out_count=_number(entry.get("left_out_count")) or 0,
    )


def _objects(value: object) -> Sequence[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, Sequence) else []


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(entry for entry in value if isinstance(entry, str))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
