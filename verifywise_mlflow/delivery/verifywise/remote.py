"""VerifyWise's objects, and the protocol of the REST client that reads and writes them.

Field names are those of VerifyWise's API. The client maps the responses of every release to these classes. Fields that
a release lacks are empty; ``Release`` states the features of a release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

FieldValue: TypeAlias = str | int | float | bool | None
Fields: TypeAlias = Mapping[str, FieldValue]

Dialect = Literal["A1", "A2", "B"]
"""A1: release 2.1.1. A2: the shared schema of 2026-03. B: with custom fields, ``external_key`` and model metrics."""


@dataclass(frozen=True, slots=True)
class Release:
    """The features of the server, found by probing it."""

    dialect: Dialect
    has_external_key: bool
    """Whether entries have a unique ``external_key``, ``type`` and ``intended_use``, and may be Retired."""
    has_custom_fields: bool
    has_model_metrics: bool
    links_files_on_create: bool
    """Whether ``POST /evidenceHub`` stores ``evidence_files``. The files are read back in any case."""


@dataclass(frozen=True, slots=True)
class Account:
    """Our account in VerifyWise."""

    user_id: int
    organization: str
    """The organization's id on this server. Remote ids belong to this organization."""
    role: str
    """``Admin``, ``Editor``, ``Reviewer`` or ``Auditor``."""
    email: str | None


@dataclass(frozen=True, slots=True)
class InventoryEntry:
    """An entry of the model inventory."""

    id: int
    external_key: str | None
    fields: Fields
    """The columns in the form of the server: provider, model, version, status, reference_link, capabilities (one text),
    biases, limitations, hosting_provider, provider_model, status_date, approver; in dialect B also type and
    intended_use."""


@dataclass(frozen=True, slots=True)
class ModelRisk:
    """A risk of a model."""

    id: int
    model_id: int | None
    is_deleted: bool
    fields: Fields
    """risk_name, risk_category, risk_level, status, owner, target_date (ISO 8601 date), description, mitigation_plan,
    impact, likelihood, key_metrics, current_values, threshold."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of the file manager."""

    id: int
    filename: str
    model_id: int | None
    size: int | None
    review_status: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """An entry of the evidence hub."""

    id: int
    fields: Fields
    """evidence_name, evidence_type, description, expiry_date."""
    mapped_model_ids: tuple[int, ...]
    file_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file to upload."""

    filename: str
    media_type: str
    content: bytes
    model_id: int


@dataclass(frozen=True, slots=True)
class CustomFieldDefinition:
    """A custom field of the inventory."""

    id: int
    field_key: str
    label: str
    field_type: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """A value of a metric."""

    metric: str
    value: float
    at: datetime
    context: Fields = field(default_factory=dict)


class VerifyWise(Protocol):
    """A connection to one VerifyWise server with one account.

    Every method may raise an ``HttpError``: ``RateLimitedError`` with ``retry_after`` (after short waits in the method
    itself), ``UnauthenticatedError``, ``ForbiddenError``, ``NotFoundError``, ``UnreachableError`` (nothing was sent, or
    a read failed), ``InvalidResponseError``, ``LimitExceededError``; a ``SecretUnavailableError`` if our credentials
    cannot be resolved. A method that writes sends its request once, and may also raise ``OutcomeUnknownError``,
    ``ConflictError`` and ``RefusedError``. Reads are retried within the limits. A method that changes an entry, a risk,
    evidence or a custom field never waits for a rate limit: after a wait, the values on which the change was decided
    would be outdated.
    """

    @property
    def requests(self) -> int:
        """The number of requests that were sent."""

    def release(self) -> Release:
        """Return the features of the server, which are probed once."""

    def account(self) -> Account:
        """Return our account, which the token names; log in first if there is no token yet."""

    def inventory(self) -> list[InventoryEntry]:
        """Return all entries of the inventory."""

    def inventory_entry(self, entry_id: int) -> InventoryEntry | None:
        """Return an entry; None if it does not exist (any more)."""

    def create_inventory_entry(self, fields: Fields, external_key: str | None) -> InventoryEntry:
        """Create an entry. ``external_key`` is sent only if the release has it."""

    def update_inventory_entry(self, entry_id: int, fields: Fields) -> None:
        """Change some fields of an entry."""

    def risks(self) -> list[ModelRisk]:
        """Return all risks, deleted ones included."""

    def risk(self, risk_id: int) -> ModelRisk | None:
        """Return a risk; None if it does not exist (any more)."""

    def create_risk(self, model_id: int, fields: Fields) -> ModelRisk:
        """Create a risk."""

    def update_risk(self, risk_id: int, fields: Fields) -> None:
        """Change some fields of a risk."""

    def files(self) -> list[RemoteFile]:
        """Return the files of the file manager."""

    def upload_file(self, upload: FileUpload) -> RemoteFile:
        """Upload a file."""

    def update_file_metadata(self, file_id: int, metadata: Fields) -> None:
        """Change some of a file's metadata: review_status, version (X.Y), expiry_date, description."""

    def evidence(self) -> list[EvidenceItem]:
        """Return all entries of the evidence hub."""

    def create_evidence(self, fields: Fields, model_ids: Sequence[int], files: Sequence[RemoteFile]) -> EvidenceItem:
        """Create an entry of the evidence hub, and return the server's response, which may lack the files."""

    def update_evidence(self, evidence_id: int, fields: Fields, model_ids: Sequence[int]) -> None:
        """Change an entry. The models are always sent: if they are left out, A2 and B log a false removal."""

    def attach_file(self, file_id: int, evidence_id: int) -> None:
        """Attach a file to an entry of the evidence hub. Attaching it again has no effect."""

    def custom_field_definitions(self) -> list[CustomFieldDefinition]:
        """Return the custom fields of the inventory; empty if the release has none."""

    def create_custom_field(
        self, field_key: str, label: str, field_type: str, options: Sequence[str] = ()
    ) -> CustomFieldDefinition:
        """Create a custom field of the inventory."""

    def custom_field_values(self, entry_id: int) -> Mapping[str, FieldValue]:
        """Return the values of an entry's custom fields by field key."""

    def set_custom_field(self, definition_id: int, entry_id: int, value: FieldValue) -> None:
        """Set the value of an entry's custom field."""

    def post_metric(self, external_key: str, point: MetricPoint) -> str:
        """Post one value of a metric; return the server's result: ok, warn, breach, no_threshold or duplicate."""

    def close(self) -> None:
        """Close the connections."""
