"""The artifact manifest of one model version, as values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from verifywise_mlflow.common.value_object import value_object


class FileKind(StrEnum):
    """The kind of a file, derived from its name and path alone. No file is opened to classify it."""

    MODEL = "model binary"
    MLMODEL = "model description"
    ENVIRONMENT = "environment"
    SIGNATURE = "signature"
    EVALUATION = "evaluation report"
    EXPLANATION = "explanation"
    MODEL_CARD = "model card"
    DATA_SHEET = "data sheet"
    BIAS_REPORT = "bias report"
    SAFETY_REPORT = "safety report"
    PLOT = "plot"
    OTHER = "other"


class ReadOutcome(StrEnum):
    """How the current sync ended its attempt to read a file. Code decides by this value, never by ``note``."""

    HASHED = "hashed"
    NOT_PARSED = "not parsed"
    """The file was hashed, but crashed the process that parses environment files."""
    HASHING_OFF = "hashing off"
    OVER_LIMIT = "over limit"
    """A limit of the tenant's settings stopped the read. Another read has the same outcome."""
    FAILED = "failed"
    """The file could not be read. A later sync may succeed."""
    CARRIED_FORWARD = "carried forward"
    """The file could not be read now. The hash, or the whole entry, comes from an earlier sync."""


class ManifestGap(StrEnum):
    """The strongest reason why a manifest is not complete. The reason decides what a reconcile does about the gap."""

    NONE = "none"
    """Nothing is missing."""
    LIMIT = "limit"
    """Only the tenant's limits left files out. Reading again adds nothing."""
    NO_FILES = "no files"
    """The server lists no file in the model's folder. Only another listing shows whether files have appeared."""
    FAILED = "failed"
    """A location, a listing or a file could not be read. Another read may succeed."""


Root = Literal["model", "run"]
"""The root of a path: the model's own folder, or the run's artifacts outside of that folder."""


@value_object
class ArtifactFile:
    """One file. If its bytes were not read, ``sha256`` is null, and ``outcome`` and ``note`` state the reason."""

    root: Root
    path: str
    size: int | None
    """Bytes, as counted if the file was hashed, else as the server lists them."""
    sha256: str | None
    kind: FileKind
    note: str | None = None
    outcome: ReadOutcome = ReadOutcome.HASHED
    store_state: str | None = None
    """The object's state in its store when it was listed for this hash: see ``RemoteFile``. Null without a hash."""


@value_object
class Requirement:
    """One package that an environment file requires."""

    name: str
    """Normalized as on PyPI (PEP 503)."""
    specifier: str
    """``==1.9.1``, ``>=2,<3`` or empty."""
    source: str
    """The file that requires it, e.g. ``requirements.txt``."""
    pinned: bool
    """True for an exact ``==`` without wildcard, an exact conda pin, or a URL with a hash or commit."""


@value_object
class RuntimeEnvironment:
    """The runtime environment that the model declares."""

    python_version: str | None
    packages: tuple[Requirement, ...]
    sources: tuple[str, ...]
    """The environment files that were read, e.g. ``("conda.yaml", "requirements.txt")``."""
    mlflow_version: str | None
    flavors: Mapping[str, str | None]
    """Flavor to the version of its library (``sklearn: 1.9.1``), from MLmodel."""
    serialization_format: str | None
    """``pickle``, ``cloudpickle``, ``skops``, …, if MLmodel names it."""
    reproducible: bool
    missing_pins: tuple[str, ...]
    """What prevents reproducibility: ``python``, package names, or ``no environment file``."""
    model_size_bytes: int | None = None
    """The size that MLmodel claims. The measured file sizes are in the manifest."""
    signature: tuple[str, ...] | None = None
    """Which of ``inputs``, ``outputs`` and ``params`` the model declares; null without a signature. Column names and
    types may reveal personal data and are not stored."""
    tasks: tuple[str, ...] = ()
    """The model's tasks, such as ``llm/v1/chat`` or ``text-generation``, if MLmodel names them."""
    prompts: tuple[str, ...] = ()
    """The URIs of the prompts that were logged with the model, from MLmodel."""
    problems: tuple[str, ...] = ()
    """Environment files that could not be read, and why."""


SignatureStatus = Literal["valid", "mismatch", "untrusted", "invalid", "not verified"]
"""``valid``: by a trusted signer, over every file of the model except the files that the signer ignored.
``mismatch``: by a trusted signer, but over other files. ``untrusted``: by a signer that the tenant does not trust.
``invalid``: a broken bundle or a wrong signature. ``not verified``: the signature could not be checked."""


@value_object
class ModelSignature:
    """The result of verifying one OpenSSF model signature."""

    path: str
    """Path of the bundle: below the model's folder, or with ``../`` next to it."""
    status: SignatureStatus
    reason: str | None
    """A clause for people; null where ``valid``."""
    signer: str | None
    """The fingerprint of the key or certificate, with the certificate's subject; null if no signer was established."""
    signed_count: int | None
    """Number of files in the statement; null if it could not be read."""
    differences: tuple[str, ...] = ()
    """Files that differ from the signed files, as text; at most 100 of them."""
    difference_count: int = 0
    left_out_count: int = 0
    """Number of files of the model that the signer ignored."""


ManifestStatus = Literal["complete", "partial", "unreachable", "none"]
"""``complete``: every file is listed and, if hashing is on, hashed. ``partial``: some are not; ``reason`` states which.
``unreachable``: no listing could be read. ``none``: MLflow names no location for the files."""


@value_object
class ArtifactManifest:
    """Every file of one model version, as far as it could be read."""

    location: str | None
    """The URI of the model's folder, as MLflow returns it."""
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
    """Roots that could not be listed completely: a file that is missing here may still exist there."""
    gap: ManifestGap = ManifestGap.NONE

    @property
    def has_model_files(self) -> bool:
        """Whether the manifest has at least one file of the model itself."""
        return any(file.root == "model" for file in self.files)

    @property
    def is_model_folder_empty(self) -> bool:
        """Whether the model's folder was listed completely, without a file. An unavailable store looks the same."""
        return "model" not in self.not_listed and not self.has_model_files
