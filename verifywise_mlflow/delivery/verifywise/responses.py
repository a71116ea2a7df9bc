"""Parses the responses of any release of VerifyWise, ``{message, data}``, into the objects of ``remote.py``."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from verifywise_mlflow.common.validation_errors import field_path
from verifywise_mlflow.connector.responses import parse_json_object
from verifywise_mlflow.delivery.verifywise.remote import (
    CustomFieldDefinition,
    EvidenceItem,
    Fields,
    FieldValue,
    InventoryEntry,
    ModelRisk,
    RemoteFile,
)
from verifywise_mlflow.http.errors import InvalidResponseError
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.settings import Limits

T = TypeVar("T")


def _joined(value: object) -> object:
    """Return a list as one text, as VerifyWise stores it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _day(value: object) -> object:
    """Return the date of a timestamp: some releases store a time for a date."""
    return value[:10] if isinstance(value, str) else value


def _list(value: object) -> object:
    return [] if value is None else value


Text = Annotated[str | None, BeforeValidator(_joined)]
Day = Annotated[str | None, BeforeValidator(_day)]


class _Row(BaseModel):
    """One object of a response. Fields that we do not use are ignored."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class InventoryRow(_Row):
    """An entry of the model inventory."""

    id: int
    external_key: str | None = None
    provider: Text = None
    model: Text = None
    version: Text = None
    status: Text = None
    status_date: Text = None
    approver: int | str | None = None
    reference_link: Text = None
    capabilities: Text = None
    biases: Text = None
    limitations: Text = None
    hosting_provider: Text = None
    provider_model: Text = None
    type: Text = None
    intended_use: Text = None

    def entry(self) -> InventoryEntry:
        """Return the row as an entry of the inventory."""
        return InventoryEntry(self.id, self.external_key, self.model_dump(exclude={"id", "external_key"}))


class RiskRow(_Row):
    """A model risk."""

    id: int
    model_id: int | None = None
    is_deleted: bool | None = False
    risk_name: Text = None
    risk_category: Text = None
    risk_level: Text = None
    status: Text = None
    owner: int | str | None = None
    target_date: Day = None
    description: Text = None
    mitigation_plan: Text = None
    impact: Text = None
    likelihood: Text = None
    key_metrics: Text = None
    current_values: Text = None
    threshold: Text = None

    def risk(self) -> ModelRisk:
        """Return the row as a risk."""
        fields: Fields = self.model_dump(exclude={"id", "model_id", "is_deleted"})
        return ModelRisk(self.id, self.model_id, bool(self.is_deleted), fields)


class FileRow(_Row):
    """A file of the file manager. The listing states neither the model nor the description."""

    id: int
    filename: str
    size: int | None = None
    mimetype: str | None = None
    upload_date: str | None = None
    uploaded_by: int | str | None = None
    review_status: str | None = None
    modelId: int | None = None  # noqa: N815  # VerifyWise's name
    description: str | None = None

    def file(self) -> RemoteFile:
        """Return the row as a file."""
        return RemoteFile(self.id, self.filename, self.modelId, self.size, self.review_status, self.description)

    def reference(self) -> dict[str, FieldValue]:
        """Return the reference to the file in the form that evidence has."""
        return self.model_dump(include={"id", "filename", "size", "mimetype", "upload_date", "uploaded_by"})


class Pagination(_Row):
    """The total number of files. A page lists some of them."""

    total: int


class FileListing(_Row):
    """A page of files."""

    files: list[FileRow]
    pagination: Pagination


class _FileReference(_Row):
    id: int


class EvidenceRow(_Row):
    """An entry of the evidence hub."""

    id: int
    evidence_name: Text = None
    evidence_type: Text = None
    description: Text = None
    expiry_date: Day = None
    mapped_model_ids: Annotated[list[int], BeforeValidator(_list)] = []
    evidence_files: Annotated[list[_FileReference], BeforeValidator(_list)] = []

    def item(self) -> EvidenceItem:
        """Return the row as an entry of the evidence hub."""
        fields: Fields = self.model_dump(exclude={"id", "mapped_model_ids", "evidence_files"})
        return EvidenceItem(
            self.id, fields, tuple(self.mapped_model_ids), tuple(file.id for file in self.evidence_files)
        )


class DefinitionRow(_Row):
    """A custom field."""

    id: int
    field_key: str
    label: str
    field_type: str
    options: Annotated[list[str], BeforeValidator(_list)] = []

    def definition(self) -> CustomFieldDefinition:
        """Return the row as the definition of a custom field."""
        return CustomFieldDefinition(self.id, self.field_key, self.label, self.field_type, tuple(self.options))


class ValueRow(_Row):
    """The value of a custom field."""

    definition_id: int
    value: Annotated[bool | int | float | str | None, BeforeValidator(_joined)]


class MetricResult(_Row):
    """The result of one value of a metric."""

    status: str


class MetricResults(_Row):
    """The results of the values in a request."""

    results: list[MetricResult]


def parse_data(response: Response, form: TypeAdapter[T], limits: Limits) -> T:
    """Return the data of a successful response.

    Raises:
        InvalidResponseError: the response is not JSON, or does not have the expected form.
        LimitExceededError: the response is larger than the limits allow.
    """
    content = parse_json_object(response, max_values=limits.max_values, max_depth=limits.max_depth)
    try:
        return form.validate_python(content.get("data"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = field_path(("data", *first["loc"]))
        raise InvalidResponseError(f"{response.target}: the response has no usable {where}: {first['msg']}") from None
