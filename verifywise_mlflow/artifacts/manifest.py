"""The artifact manifest of one model version, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class FileKind(StrEnum):
    """What a file is, judged by its name and place alone: no file is opened to find out."""

    MODEL = "model binary"
    MLMODEL = "model description"
    ENVIRONMENT = "environment"
    SIGNATURE = "signature"
    EVALUATION = "evaluation report"
    EXPLANATION = "explanation"
    MODEL_CARD = "model card"
    DATA_SHEET = "data sheet"
    BIAS_REPORT = "bias report"
    PLOT = "plot"
    OTHER = "other"


Root = Literal["model", "run"]
"""Which tree a path is relative to: the model's own folder, or the run's artifacts outside of it."""


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file. ``sha256`` is null where the bytes were not read; ``note`` then says why."""

    root: Root
    path: str
    size: int | None
    """Bytes: as counted where the file was hashed, else as the server lists it."""
    sha256: str | None
    kind: FileKind
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """One package that an environment file names."""

    name: str
    """Normalized as PyPI does it (PEP 503)."""
    specifier: str
    """``==1.9.1``, ``>=2,<3`` or empty."""
    source: str
    """The file that names it, e.g. ``requirements.txt``."""
    pinned: bool
    """True for an exact ``==`` without wildcard, an exact conda pin, or a URL with a hash or commit."""


@dataclass(frozen=True, slots=True)
class RuntimeEnvironment:
    """What the model says it needs in order to run."""

    python_version: str | None
    packages: tuple[Requirement, ...]
    sources: tuple[str, ...]
    """The environment files that were read, e.g. ``("conda.yaml", "requirements.txt")``."""
    mlflow_version: str | None
    flavors: Mapping[str, str | None]
    """Flavor to the version of its library (``sklearn: 1.9.1``), from MLmodel."""
    serialization_format: str | None
    """``pickle``, ``cloudpickle``, ``skops``, …, where MLmodel says so."""
    reproducible: bool
    missing_pins: tuple[str, ...]
    """Why it is not reproducible: ``python``, package names, or ``no environment file``."""
    model_size_bytes: int | None = None
    """As MLmodel claims it; the files' own sizes are in the manifest."""
    signature: tuple[str, ...] | None = None
    """Which of ``inputs``, ``outputs`` and ``params`` the model declares; null without a signature. Their names and
    types may tell of people's data, and stay where they are."""
    problems: tuple[str, ...] = ()
    """Environment files that could not be read, and why."""


SignatureStatus = Literal["valid", "mismatch", "untrusted", "invalid", "not verified"]
"""``valid``: by a signer that the tenant trusts, on every file of the model but those that the signer left out.
``mismatch``: by a trusted signer, but on other files. ``untrusted``: by a signer that the tenant does not trust.
``invalid``: a bundle that is broken, or a signature that is none. ``not verified``: it cannot be told."""


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """What an OpenSSF model signature beside a model is worth."""

    path: str
    """Of the bundle: below the model's folder, or with ``../`` beside it."""
    status: SignatureStatus
    reason: str | None
    """A clause for people; null where ``valid``."""
    signer: str | None
    """The fingerprint of the key or certificate, with the certificate's subject; null where it is nobody's."""
    signed_count: int | None
    """Files in the statement; null where it could not be read."""
    differences: tuple[str, ...] = ()
    """Files that are not as they were signed, in words; at most 100 of them."""
    difference_count: int = 0
    left_out_count: int = 0
    """Files of the model that the signer left out."""


ManifestStatus = Literal["complete", "partial", "unreachable", "none"]
"""``complete``: every file is listed and, where hashing is on, hashed. ``partial``: some are not, ``reason``
says which. ``unreachable``: no listing could be had. ``none``: MLflow shows no place where files could lie."""


@dataclass(frozen=True, slots=True)
class ArtifactManifest:
    """Every file of one model version, as far as they could be read."""

    location: str | None
    """The URI of the model's folder, as MLflow gives it."""
    status: ManifestStatus
    reason: str | None
    files: tuple[ArtifactFile, ...]
    """Sorted by root and path."""
    environment: RuntimeEnvironment | None
    digest: str | None
    """SHA-256 over the sorted entries (root, path, size, sha256); null unless complete and hashed."""
    signatures: tuple[ModelSignature, ...] = ()
    """Sorted by path."""
    not_listed: tuple[Root, ...] = ()
    """Roots of which not every file could be listed: what is not among the files may be there all the same."""
    is_limited: bool = False
    """Whether it is partial by the tenant's limits alone, so that reading it again shows no more."""
