"""The objects in VerifyWise. They are read only if something must be compared with them.

Listings find objects by our marks. An object is read again right before it is changed, since people also work in
VerifyWise.
"""

from __future__ import annotations

from functools import cached_property

from verifywise_mlflow.delivery.verifywise.remote import (
    Account,
    CustomFieldDefinition,
    EvidenceItem,
    InventoryEntry,
    ModelRisk,
    Release,
    RemoteFile,
    VerifyWise,
)


class RemoteState:
    """The state of a server. A listing is read once, when it is first needed; single objects are read as they are now.

    Our own writes do not update the listings, since the ledger has these writes.
    """

    def __init__(self, client: VerifyWise, *, reads_current: bool = True) -> None:
        """Prepare the state; nothing is read yet.

        Args:
            client: The connection.
            reads_current: Whether entries, risks and evidence are read again before a change. A plan takes them from
                the listings, since a plan changes nothing and one request per object would take minutes.
        """
        self.client = client
        self._reads_current = reads_current
        self.refused_fields: dict[str, str] = {}
        """Custom fields that could not be created, with the reason."""

    def reread(self) -> RemoteState:
        """Return a new state, whose listings are read again."""
        fresh = RemoteState(self.client)
        fresh.refused_fields = self.refused_fields
        return fresh

    @cached_property
    def release(self) -> Release:
        """The features of the server."""
        return self.client.release()

    @cached_property
    def account(self) -> Account:
        """Our account in VerifyWise."""
        return self.client.account()

    @cached_property
    def entries(self) -> dict[int, InventoryEntry]:
        """All inventory entries by id."""
        return {entry.id: entry for entry in self.client.inventory()}

    def current_entry(self, entry_id: int) -> InventoryEntry | None:
        """Return an inventory entry, in a plan as it was listed; None if it does not exist (any more)."""
        return self.client.inventory_entry(entry_id) if self._reads_current else self.entries.get(entry_id)

    def entries_with_key(self, key: str) -> list[InventoryEntry]:
        """Return the entries that have a version's key."""
        return self._entries_by_key.get(key, [])

    @cached_property
    def _entries_by_key(self) -> dict[str, list[InventoryEntry]]:
        by_key: dict[str, list[InventoryEntry]] = {}
        for entry in self.entries.values():
            for key in {entry.external_key, entry.fields.get("provider_model")}:
                if isinstance(key, str):
                    by_key.setdefault(key, []).append(entry)
        return by_key

    @cached_property
    def risks(self) -> dict[int, ModelRisk]:
        """All risks by id, deleted ones included."""
        return {risk.id: risk for risk in self.client.risks()}

    def current_risk(self, risk_id: int) -> ModelRisk | None:
        """Return a risk, in a plan as it was listed; None if it does not exist."""
        if not self._reads_current:
            return self.risks.get(risk_id)
        _ = self.entries  # the change needs them; they are read before the risk, so that nothing delays the change
        risk = self.client.risk(risk_id)
        if risk is None:  # deleted risks are only in the listing
            self.__dict__.pop("risks", None)
        return risk or self.risks.get(risk_id)

    def risks_with_reference(self, reference: str) -> list[ModelRisk]:
        """Return the risks whose description ends with a reference of ours."""
        return [risk for risk in self.risks.values() if _ends_with(risk.fields.get("description"), reference)]

    @cached_property
    def files(self) -> dict[int, RemoteFile]:
        """All files by id."""
        return {file.id: file for file in self.client.files()}

    def files_named(self, filename: str) -> list[RemoteFile]:
        """Return the files that have a name."""
        return [file for file in self.files.values() if file.filename == filename]

    @cached_property
    def evidence(self) -> dict[int, EvidenceItem]:
        """All entries of the evidence hub by id."""
        return {item.id: item for item in self.client.evidence()}

    def evidence_with_reference(self, reference: str) -> list[EvidenceItem]:
        """Return the entries of the evidence hub whose description ends with a reference of ours."""
        return [item for item in self.evidence.values() if _ends_with(item.fields.get("description"), reference)]

    def current_evidence(self, evidence_id: int) -> EvidenceItem | None:
        """Return an entry of the evidence hub, in a plan as it was listed; None if it does not exist (any more)."""
        if self._reads_current:
            self.__dict__.pop("evidence", None)
        return self.evidence.get(evidence_id)

    @cached_property
    def definitions(self) -> dict[str, CustomFieldDefinition]:
        """The custom fields of the inventory by key. Custom fields that we create are added."""
        return {definition.field_key: definition for definition in self.client.custom_field_definitions()}


def _ends_with(description: object, reference: str) -> bool:
    return isinstance(description, str) and description.rstrip().endswith(reference)
