"""Executes the steps of a version. The ledger is written before and after each write to VerifyWise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from verifywise_mlflow.delivery.verifywise import entry
from verifywise_mlflow.delivery.verifywise.errors import ConflictError, RefusedError
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import DEFINE, DefineField, Ledger, LeftAlone, Note, Step, Write
from verifywise_mlflow.http.errors import ForbiddenError
from verifywise_mlflow.persistence.repositories import delivery_ledger
from verifywise_mlflow.persistence.repositories.delivery_ledger import Subject
from verifywise_mlflow.persistence.session import TenantSession

BeginTransaction = Callable[[], AbstractContextManager[TenantSession]]


class Executor:
    """The writes of one version in one delivery."""

    def __init__(
        self,
        begin: BeginTransaction,
        remote: RemoteState,
        subject: Subject,
        ledger: Ledger,
        now: Callable[[], datetime],
        counts: Counter[str],
    ) -> None:
        """Prepare the execution of one version's steps.

        Args:
            begin: Opens a transaction of the tenant.
            remote: The server.
            subject: The version.
            ledger: What we last wrote about the version.
            now: The clock.
            counts: The numbers of writes so far in the batch. The steps add to these numbers.
        """
        self._begin, self._remote, self._subject, self._now, self._counts = begin, remote, subject, now, counts
        row = ledger.get(entry.ITEM)
        self._entry_id = int(row.remote_id) if row and row.remote_id else 0
        self.remarks: list[str] = []
        """Sentences about what was left unchanged, and about what could not be done and why."""

    def execute(self, step: Step) -> None:
        """Execute a step.

        Raises:
            HttpError: the request failed. The ledger has recorded the intention to write.
        """
        match step:
            case Write():
                self._write(step)
            case Note():
                self._note(step)
            case DefineField():
                self._define(step)
            case LeftAlone():
                self.remarks.append(f"{step.action}: {step.detail}")

    def _write(self, step: Write) -> None:
        with self._begin() as session:
            delivery_ledger.intend(session, self._subject, step.item, step.content, self._now())
        sent = step.send(self._remote.client, self._entry_id)
        with self._begin() as session:
            delivery_ledger.confirm(
                session,
                self._subject,
                step.item,
                step.content,
                self._now(),
                remote_id=sent.remote_id,
                remark=sent.remark,
            )
        self._counts[step.action] += 1
        if step.item == entry.ITEM and sent.remote_id is not None:
            self._entry_id = int(sent.remote_id)
        if sent.remark:
            self.remarks.append(f"{step.action}: {sent.remark}")

    def _note(self, step: Note) -> None:
        with self._begin() as session:
            delivery_ledger.confirm(
                session,
                self._subject,
                step.item,
                step.content,
                self._now(),
                remote_id=step.remote_id,
                remark=step.remark,
            )
        if step.item == entry.ITEM and step.remote_id is not None:
            self._entry_id = int(step.remote_id)

    def _define(self, step: DefineField) -> None:
        client = self._remote.client
        try:
            definition = client.create_custom_field(step.field_key, step.label, step.field_type)
        except (ForbiddenError, RefusedError, ConflictError) as error:
            # Only an Admin may define a custom field, unless an Admin grants this right to others. Everything else
            # works without the right.
            self._remote.refused_fields[step.field_key] = str(error)
            self.remarks.append(f"{DEFINE}: {step.field_key}: {error}")
            return
        self._remote.definitions[step.field_key] = definition
        self._counts[DEFINE] += 1
