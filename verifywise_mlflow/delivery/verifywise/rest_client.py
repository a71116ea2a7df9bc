"""The REST client of VerifyWise: reads and writes the objects of ``remote.py`` through VerifyWise's endpoints.

The release is found by probing, since ``/api/version`` is the same in different releases.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from pydantic import TypeAdapter
from urllib3.filepost import encode_multipart_formdata

from verifywise_mlflow.delivery.verifywise.errors import OutcomeUnknownError
from verifywise_mlflow.delivery.verifywise.remote import (
    Account,
    CustomFieldDefinition,
    EvidenceItem,
    Fields,
    FieldValue,
    FileUpload,
    InventoryEntry,
    MetricPoint,
    ModelRisk,
    Release,
    RemoteFile,
)
from verifywise_mlflow.delivery.verifywise.responses import (
    DefinitionRow,
    EvidenceRow,
    FileListing,
    FileRow,
    InventoryRow,
    MetricResults,
    RiskRow,
    ValueRow,
)
from verifywise_mlflow.delivery.verifywise.transport import Transport
from verifywise_mlflow.http.errors import NotFoundError
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.tenants.delivery.verifywise import VerifyWiseSettings

_INVENTORY = "model_inventory"
"""The entity type that custom fields of inventory entries have."""
_DEFINITIONS = f"/custom-fields/definitions/{_INVENTORY}"
_FILE_PAGE: Final = 100

_ENTRIES = TypeAdapter(list[InventoryRow])
_ENTRY = TypeAdapter(InventoryRow)
_RISKS = TypeAdapter(list[RiskRow])
_RISK = TypeAdapter(RiskRow)
_FILES = TypeAdapter(FileListing)
_FILE = TypeAdapter(FileRow)
_EVIDENCE_ITEMS = TypeAdapter(list[EvidenceRow])
_EVIDENCE = TypeAdapter(EvidenceRow)
_FIELD_DEFINITIONS = TypeAdapter(list[DefinitionRow])
_DEFINITION = TypeAdapter(DefinitionRow)
_VALUES = TypeAdapter(list[ValueRow])
_METRIC_RESULTS = TypeAdapter(MetricResults)


class VerifyWiseClient:
    """Implements ``remote.VerifyWise``. Used by one thread at a time."""

    def __init__(
        self,
        settings: VerifyWiseSettings,
        *,
        limits: Limits | None = None,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare the client; no request is sent and no secret is resolved yet.

        Args:
            settings: The server and our account there.
            limits: The limits on the time and size of responses.
            redact: Redacts texts of the server before a message quotes them.
            clock: Returns the seconds of a monotonic clock.
            sleep: Waits for a rate limit.

        Raises:
            HttpError: a TLS file or the proxy cannot be used.
        """
        self._transport = Transport(settings, limits or Limits(), redact, clock, sleep)
        self._release: Release | None = None
        self._field_keys: dict[int, str] | None = None
        self._file_references: dict[int, dict[str, FieldValue]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def requests(self) -> int:
        """The number of requests that were sent."""
        return self._transport.requests

    def account(self) -> Account:
        """Return our account, which the token names; log in first if there is no token yet."""
        return self._transport.session.account()

    def release(self) -> Release:
        """Return the features of the server, which are probed once."""
        if self._release is None:
            self._release = self._probe()
        return self._release

    def _probe(self) -> Release:
        if self._has_route(_DEFINITIONS):
            return Release(
                "B", has_external_key=True, has_custom_fields=True, has_model_metrics=True, links_files_on_create=True
            )
        is_shared_schema = self._has_route("/version")
        return Release(
            "A2" if is_shared_schema else "A1",
            has_external_key=False,
            has_custom_fields=False,
            has_model_metrics=False,
            links_files_on_create=not is_shared_schema,
        )

    def _has_route(self, path: str) -> bool:
        try:
            self._transport.get(path)
        except NotFoundError:
            return False
        return True

    def inventory(self) -> list[InventoryEntry]:
        """Return all entries of the inventory."""
        return [row.entry() for row in self._transport.read("/modelInventory", _ENTRIES)]

    def inventory_entry(self, entry_id: int) -> InventoryEntry | None:
        """Return an entry; None if it does not exist (any more)."""
        path, route = f"/modelInventory/{entry_id}", "/modelInventory/{id}"
        response = self._transport.get(path, route=route, precedes_change=True)
        return None if response.status == 204 else self._transport.parse(response, _ENTRY).entry()

    def create_inventory_entry(self, fields: Fields, external_key: str | None) -> InventoryEntry:
        """Create an entry. ``external_key`` is sent only if the release has it."""
        key = {"external_key": external_key} if external_key and self.release().has_external_key else {}
        return self._transport.create("/modelInventory", {**fields, **key}, _ENTRY).entry()

    def update_inventory_entry(self, entry_id: int, fields: Fields) -> None:
        """Change some fields of an entry."""
        path, route = f"/modelInventory/{entry_id}", "/modelInventory/{id}"
        self._transport.change("PATCH", path, fields, route=route, waits=False)

    def risks(self) -> list[ModelRisk]:
        """Return all risks, deleted ones included."""
        return [row.risk() for row in self._transport.read("/modelRisks?filter=all", _RISKS)]

    def risk(self, risk_id: int) -> ModelRisk | None:
        """Return a risk; None if it does not exist (any more)."""
        path, route = f"/modelRisks/{risk_id}", "/modelRisks/{id}"
        try:
            response = self._transport.get(path, route=route, precedes_change=True)
        except NotFoundError:
            return None
        return self._transport.parse(response, _RISK).risk()

    def create_risk(self, model_id: int, fields: Fields) -> ModelRisk:
        """Create a risk. Required fields without a value are sent as null."""
        required = dict.fromkeys(("risk_category", "risk_level", "owner", "target_date"))
        return self._transport.create("/modelRisks", {**required, **fields, "model_id": model_id}, _RISK).risk()

    def update_risk(self, risk_id: int, fields: Fields) -> None:
        """Change some fields of a risk."""
        path, route = f"/modelRisks/{risk_id}", "/modelRisks/{id}"
        self._transport.change("PATCH", path, fields, route=route, waits=False)

    def files(self) -> list[RemoteFile]:
        """Return the files of the file manager.

        One request without pages lists the newest thousand files. Only further files are read in pages of a hundred
        files, since each request counts against a limit of a hundred requests in fifteen minutes.
        """
        listing = self._transport.read("/file-manager", _FILES)
        rows = {row.id: row for row in listing.files}
        page = len(rows) // _FILE_PAGE + 1
        while len(rows) < listing.pagination.total:
            known = len(rows)
            listing = self._transport.read(f"/file-manager?page={page}&pageSize={_FILE_PAGE}", _FILES)
            rows |= {row.id: row for row in listing.files}
            if len(rows) == known:
                break  # some files were deleted meanwhile
            page += 1
        for row in rows.values():
            self._file_references[row.id] = row.reference()
        return [row.file() for row in rows.values()]

    def upload_file(self, upload: FileUpload) -> RemoteFile:
        """Upload a file. Its name should be ASCII: VerifyWise decodes other names as Latin-1."""
        body, content_type = encode_multipart_formdata(
            {
                "file": (upload.filename, upload.content, upload.media_type),
                "model_id": str(upload.model_id),
                "source": "File Manager",
            }
        )
        description = {"filename": upload.filename, "media_type": upload.media_type, "model_id": upload.model_id}
        row = self._transport.upload("/file-manager", body, content_type, description, _FILE)
        self._file_references[row.id] = row.reference()
        return row.file()

    def update_file_metadata(self, file_id: int, metadata: Fields) -> None:
        """Change some of a file's metadata: review_status, version (X.Y), expiry_date, description."""
        route = "/file-manager/{id}/metadata"
        self._transport.change("PATCH", f"/file-manager/{file_id}/metadata", metadata, route=route)

    def evidence(self) -> list[EvidenceItem]:
        """Return all entries of the evidence hub."""
        return [row.item() for row in self._transport.read("/evidenceHub", _EVIDENCE_ITEMS)]

    def create_evidence(self, fields: Fields, model_ids: Sequence[int], files: Sequence[RemoteFile]) -> EvidenceItem:
        """Create an entry of the evidence hub, and return the server's response, which may lack the files."""
        content = {
            "description": None,  # A1 and A2 fail without the key
            **fields,
            "mapped_model_ids": list(model_ids),
            "evidence_files": [self._file_reference(file) for file in files],
        }
        return self._transport.create("/evidenceHub", content, _EVIDENCE).item()

    def _file_reference(self, file: RemoteFile) -> dict[str, FieldValue]:
        return self._file_references.get(file.id) or {"id": file.id, "filename": file.filename, "size": file.size}

    def update_evidence(self, evidence_id: int, fields: Fields, model_ids: Sequence[int]) -> None:
        """Change an entry. The models are always sent: if they are left out, A2 and B log a false removal."""
        content = {**fields, "mapped_model_ids": list(model_ids)}
        path, route = f"/evidenceHub/{evidence_id}", "/evidenceHub/{id}"
        self._transport.change("PATCH", path, content, route=route, waits=False)

    def attach_file(self, file_id: int, evidence_id: int) -> None:
        """Attach a file to an entry of the evidence hub. Attaching it again has no effect."""
        entity = {"framework_type": "evidence_hub", "entity_type": "evidence", "entity_id": evidence_id}
        self._transport.change("POST", "/files/attach", {"file_id": file_id, **entity})

    def custom_field_definitions(self) -> list[CustomFieldDefinition]:
        """Return the custom fields of the inventory; empty if the release has none."""
        if not self.release().has_custom_fields:
            return []
        rows = self._transport.read(_DEFINITIONS, _FIELD_DEFINITIONS)
        self._field_keys = {row.id: row.field_key for row in rows}
        return [row.definition() for row in rows]

    def create_custom_field(
        self, field_key: str, label: str, field_type: str, options: Sequence[str] = ()
    ) -> CustomFieldDefinition:
        """Create a custom field of the inventory."""
        content = {
            "entity_type": _INVENTORY,
            "field_key": field_key,
            "label": label,
            "field_type": field_type,
            **({"options": list(options)} if options else {}),
        }
        self._field_keys = None
        return self._transport.create("/custom-fields/definitions", content, _DEFINITION).definition()

    def custom_field_values(self, entry_id: int) -> Mapping[str, FieldValue]:
        """Return the values of an entry's custom fields by field key."""
        if self._field_keys is None:
            self.custom_field_definitions()
        keys = self._field_keys or {}
        path, route = f"/custom-fields/values/{_INVENTORY}/{entry_id}", "/custom-fields/values/{type}/{id}"
        if not keys:
            return {}
        rows = self._transport.parse(self._transport.get(path, route=route, precedes_change=True), _VALUES)
        return {keys[row.definition_id]: row.value for row in rows if row.definition_id in keys}

    def set_custom_field(self, definition_id: int, entry_id: int, value: FieldValue) -> None:
        """Set the value of an entry's custom field."""
        content = {"definition_id": definition_id, "entity_id": entry_id, "value": value}
        self._transport.change("PUT", "/custom-fields/values", content, waits=False)

    def post_metric(self, external_key: str, point: MetricPoint) -> str:
        """Post one value of a metric; return the server's result: ok, warn, breach, no_threshold or duplicate.

        Each request has one value. If a batch contains a duplicate, early builds lose the new values of the batch.
        """
        context = {"context": dict(point.context)} if point.context else {}
        content = {"metric": point.metric, "value": point.value, "at": point.at.isoformat(), **context}
        path = f"/mrm/models/{quote(external_key, safe='')}/metrics"
        answer = self._transport.post_metric(path, content, _METRIC_RESULTS, route="/mrm/models/{key}/metrics")
        if len(answer.results) != 1:
            raise OutcomeUnknownError(f"{path} was answered with {len(answer.results)} results for one value")
        return answer.results[0].status
