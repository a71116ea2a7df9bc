"""The evidence of a version: one file for each state, linked to an entry of the evidence hub and to the model.

Some releases do not store the link from the hub's entry to the file, so the link is read back after it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from verifywise_mlflow.delivery.verifywise.comparison import (
    DELETED_BY_HAND,
    change_steps,
    deletion_steps,
    field_changes,
    is_same,
    is_settled,
    the_only,
)
from verifywise_mlflow.delivery.verifywise.errors import RefusedError
from verifywise_mlflow.delivery.verifywise.evidence_document import MEDIA_TYPE, EvidenceDocument
from verifywise_mlflow.delivery.verifywise.remote import FieldValue, FileUpload, RemoteFile, VerifyWise
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import Ledger, Note, Sent, Step, Write
from verifywise_mlflow.http.errors import ForbiddenError, NotFoundError
from verifywise_mlflow.persistence.repositories.delivery_ledger import Content, LedgerRow

HUB_ITEM: Final = "evidence"
FILE_PREFIX: Final = "file/"
UPLOAD: Final = "add evidence file"
DESCRIBE: Final = "describe evidence file"
SUPERSEDE: Final = "supersede evidence file"
CREATE: Final = "create evidence"
UPDATE: Final = "update evidence"
LINK: Final = "link evidence"
_TYPE: Final = "Risk Assessment Report"
_REVIEW: Final = "pending_review"
"""The status of new evidence. A person reviews it: a delivery never approves anything."""
_SUPERSEDED: Final = "superseded"
_NOT_LINKED: Final = "this release does not keep the link between the evidence and its file"


def evidence_steps(
    key: str, name: str, document: EvidenceDocument, ledger: Ledger, remote: RemoteState
) -> Iterator[Step]:
    """Yield the steps that make the evidence agree with a version's state.

    Args:
        key: The version's key in VerifyWise.
        name: The name of the evidence.
        document: The file of the current state.
        ledger: What we last wrote about the version.
        remote: The server's objects.

    Raises:
        AmbiguousError: two files have the name of the document, or two entries have the version's reference.
    """
    hub = ledger.get(HUB_ITEM) or LedgerRow(HUB_ITEM)
    item = FILE_PREFIX + document.digest[:16]
    row = ledger.get(item) or LedgerRow(item)
    if hub.remark == DELETED_BY_HAND:
        return
    if hub.remote_id is not None and not _is_current(hub, document) and int(hub.remote_id) not in remote.evidence:
        yield from deletion_steps(UPDATE, hub)
        return
    uploaded = _Uploaded(row.remote_id)
    yield from _file_steps(name, document, row, _revision(ledger, item), uploaded, remote)
    yield from _hub_steps(key, name, document, hub, uploaded, remote)
    yield from _supersede_steps(ledger, item, remote)


class _Uploaded:
    """The id of the current file, once it is known."""

    def __init__(self, remote_id: str | None) -> None:
        self.remote_id = remote_id

    @property
    def file_id(self) -> int:
        assert self.remote_id is not None  # an earlier step uploads the file
        return int(self.remote_id)


def _file_steps(
    name: str, document: EvidenceDocument, row: LedgerRow, revision: int, uploaded: _Uploaded, remote: RemoteState
) -> Iterator[Step]:
    content: Content = {"filename": document.filename, "review_status": None}
    if row.remote_id is None:
        named = remote.files_named(document.filename) if row.intended is not None else []
        found = the_only(named, f"files with the name {document.filename}")
        if found is not None:
            uploaded.remote_id = str(found.id)
            yield Note(row.item, content, uploaded.remote_id)
        else:

            def upload(client: VerifyWise, entry_id: int) -> Sent:
                file = client.upload_file(FileUpload(document.filename, MEDIA_TYPE, document.content, entry_id))
                uploaded.remote_id = str(file.id)
                return Sent(uploaded.remote_id)

            yield Write(UPLOAD, row.item, content, upload, document.filename)
    is_undescribed = row.remote_id is None or row.written.get("review_status") is None
    if is_undescribed or _is_superseded_by_us(row, remote) or _is_made_current_by_us(row, remote):
        metadata: dict[str, FieldValue] = {
            "review_status": _REVIEW,
            "version": f"1.{revision}",
            "description": name,
        }

        def describe(client: VerifyWise, _entry_id: int) -> Sent:
            client.update_file_metadata(uploaded.file_id, metadata)
            return Sent()

        yield Write(DESCRIBE, row.item, {**content, **metadata}, describe, document.filename)


def _hub_steps(
    key: str, name: str, document: EvidenceDocument, hub: LedgerRow, uploaded: _Uploaded, remote: RemoteState
) -> Iterator[Step]:
    fields = _fields(key, name)
    if hub.remote_id is None:
        referring = remote.evidence_with_reference(_reference(key)) if hub.intended is not None else []
        found = the_only(referring, f"entries of evidence that end with {_reference(key)!r}")
        if found is None:
            yield _creation(fields, document, uploaded, remote)
            return
        hub = LedgerRow(HUB_ITEM, str(found.id), dict(fields))
        yield Note(HUB_ITEM, hub.written, hub.remote_id)
    if _is_current(hub, document):
        return
    assert hub.remote_id is not None  # it was found or known
    evidence_id = int(hub.remote_id)
    written = hub.written
    if not is_settled(fields, hub):
        present = remote.current_evidence(evidence_id)
        if present is None:
            yield from deletion_steps(UPDATE, hub)
            return

        def update(client: VerifyWise, entry_id: int, changed: Mapping[str, FieldValue]) -> None:
            models = present.mapped_model_ids or (entry_id,)
            client.update_evidence(evidence_id, {**_whole(present.fields), **changed}, models)

        changes = field_changes(fields, hub, present.fields)
        yield from change_steps(UPDATE, hub, changes, update)
        written = changes.content
    linked: Content = {**written, "digest": document.digest}

    def link(client: VerifyWise, _entry_id: int) -> Sent:
        return _link(client, remote, evidence_id, uploaded.file_id)

    yield Write(LINK, HUB_ITEM, linked, link, document.filename)


def _creation(
    fields: Mapping[str, FieldValue], document: EvidenceDocument, uploaded: _Uploaded, remote: RemoteState
) -> Write:
    content: Content = {**fields, "digest": document.digest}

    def create(client: VerifyWise, entry_id: int) -> Sent:
        size = len(document.content)
        file = RemoteFile(uploaded.file_id, document.filename, entry_id, size, _REVIEW, None)
        files = [file] if remote.release.links_files_on_create else []
        created = client.create_evidence(fields, [entry_id], files)
        if file.id in created.file_ids and file.id in _files_of(remote, created.id):
            return Sent(str(created.id))
        return _link(client, remote, created.id, file.id)

    return Write(CREATE, HUB_ITEM, content, create, str(fields["evidence_name"]))


def _link(client: VerifyWise, remote: RemoteState, evidence_id: int, file_id: int) -> Sent:
    """Attach a file to an entry of the evidence hub, and read back whether the release stored the link."""
    try:
        client.attach_file(file_id, evidence_id)
    except (RefusedError, NotFoundError, ForbiddenError):
        return Sent(str(evidence_id), _NOT_LINKED)
    remark = None if file_id in _files_of(remote, evidence_id) else _NOT_LINKED
    return Sent(str(evidence_id), remark)


def _files_of(remote: RemoteState, evidence_id: int) -> tuple[int, ...]:
    item = remote.current_evidence(evidence_id)
    return item.file_ids if item else ()


def _supersede_steps(ledger: Ledger, current_item: str, remote: RemoteState) -> Iterator[Step]:
    for item, row in ledger.items():
        if not item.startswith(FILE_PREFIX) or item == current_item:
            continue
        if row.remote_id is None and row.intended is None:
            continue
        if row.intended is None and is_same(row.written.get("review_status"), _SUPERSEDED):
            continue
        file = _former_file(row, remote)
        content: Content = {**(row.intended or {}), **row.written, "review_status": _SUPERSEDED}
        if _is_superseded_by_us(row, remote):  # the outcome of an earlier request was unknown
            yield Note(item, content, row.remote_id)
            continue
        if file is None or file.review_status not in (None, "draft", _REVIEW):
            yield Note(item, content, row.remote_id, "a person reviewed or deleted it, or it never arrived")
            continue

        def supersede(client: VerifyWise, _entry_id: int, file_id: int = file.id) -> Sent:
            client.update_file_metadata(file_id, {"review_status": _SUPERSEDED})
            return Sent(str(file_id))

        yield Write(SUPERSEDE, item, content, supersede, str(content.get("filename") or ""))


def _former_file(row: LedgerRow, remote: RemoteState) -> RemoteFile | None:
    """Return a file of an earlier state, even if the outcome of its upload is unknown; None if it is missing."""
    if row.remote_id is not None:
        return remote.files.get(int(row.remote_id))
    found = remote.files_named(str((row.intended or {}).get("filename")))
    return found[0] if found else None


def _is_superseded_by_us(row: LedgerRow, remote: RemoteState) -> bool:
    """Return whether we superseded a file that nobody has reviewed since. Such a file may become current again."""
    statuses = {row.written.get("review_status"), (row.intended or {}).get("review_status")}
    if row.remote_id is None or row.remark is not None or _SUPERSEDED not in statuses:
        return False
    file = remote.files.get(int(row.remote_id))
    return file is not None and file.review_status == _SUPERSEDED


def _is_made_current_by_us(row: LedgerRow, remote: RemoteState) -> bool:
    """Return whether our request, whose response was lost, made a file current again that nobody has reviewed since."""
    if row.remote_id is None or (row.intended or {}).get("review_status") != _REVIEW:
        return False
    file = remote.files.get(int(row.remote_id))
    return file is not None and file.review_status == _REVIEW


def _is_current(hub: LedgerRow, document: EvidenceDocument) -> bool:
    return hub.intended is None and hub.written.get("digest") == document.digest


def _revision(ledger: Ledger, current_item: str) -> int:
    """Return the number of the version's files, including the current one."""
    files = [item for item in ledger if item.startswith(FILE_PREFIX)]
    return len(files) if current_item in files else len(files) + 1


def _fields(key: str, name: str) -> dict[str, FieldValue]:
    description = f"The record of the model version in MLflow, with verdicts and manifest.\n{_reference(key)}"
    return {"evidence_name": name, "evidence_type": _TYPE, "description": description}


def _whole(fields: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    names = ("evidence_name", "evidence_type", "description", "expiry_date")
    return {name: fields[name] for name in names if fields.get(name) is not None}


def _reference(key: str) -> str:
    """Return the last line of the description of the evidence. The evidence is found again by this line."""
    return f"Reference: {key}"
