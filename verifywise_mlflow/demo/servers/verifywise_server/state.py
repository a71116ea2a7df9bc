"""The state of the contract server: documents by kind, in SQLite, so that they survive a restart.

Each request writes in one transaction, which a refusal rolls back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Document = dict[str, object]
"""A JSON object."""
Kind = Literal[
    "user",
    "token",
    "model",
    "risk",
    "file",
    "evidence",
    "link",
    "definition",
    "value",
    "ingestion_token",
    "point",
    "model_history",
    "risk_history",
    "file_history",
]

_INDEXED: Mapping[Kind, Sequence[str]] = {
    "user": ("email",),
    "token": ("hash",),
    "model": ("external_key",),
    "link": ("evidence_id",),
    "definition": ("entity_type",),
    "value": ("entity_type", "entity_id"),
    "ingestion_token": ("hash",),
    "point": ("model_id", "metric", "at", "window", "segment"),
    "model_history": ("entity_id",),
    "risk_history": ("entity_id",),
    "file_history": ("entity_id",),
}
"""The fields by which documents of a kind are found."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The user who sends a request."""

    user: int
    organization: int
    role: str


class State:
    """The documents, and the number of mails. Used by one thread at a time."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or keep the documents in memory."""
        self._database = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        # A power failure may lose the demo's data; a kill of the process loses nothing.
        self._database.executescript(
            """
            PRAGMA synchronous=OFF;
            CREATE TABLE IF NOT EXISTS documents(
                kind TEXT, id INTEGER, organization INTEGER, lookup TEXT, content TEXT, PRIMARY KEY (kind, id)
            ) WITHOUT ROWID;
            CREATE INDEX IF NOT EXISTS lookups ON documents(kind, lookup);
            CREATE TABLE IF NOT EXISTS last_ids(kind TEXT PRIMARY KEY, id INTEGER);
            CREATE TABLE IF NOT EXISTS mails(event TEXT PRIMARY KEY, number INTEGER);
            CREATE TABLE IF NOT EXISTS secret(value BLOB);
            """
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the block's writes, or roll them back if it raises."""
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def secret(self, new: bytes) -> bytes:
        """Return the key that signs tokens: the stored key, or ``new`` at the first use of this file."""
        row = self._database.execute("SELECT value FROM secret").fetchone()
        if row is None:
            self._database.execute("INSERT INTO secret VALUES (?)", (new,))
            return new
        return bytes(row[0])

    def add(self, kind: Kind, organization: int, content: Mapping[str, object]) -> Document:
        """Store a new document; return it with its ``id``. Ids are never used twice, even after a deletion."""
        (identifier,) = self._database.execute(
            "INSERT INTO last_ids VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET id = id + 1 RETURNING id", (kind,)
        ).fetchone()
        document = {"id": identifier, **content}
        self._database.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?)",
            (kind, identifier, organization, _lookup(kind, document), json.dumps(document)),
        )
        return document

    def find(self, kind: Kind, identifier: int, organization: int | None = None) -> Document | None:
        """Return a document; if an organization is given, only a document of that organization."""
        row = self._database.execute(
            "SELECT content, organization FROM documents WHERE kind = ? AND id = ?", (kind, identifier)
        ).fetchone()
        if row is None or organization not in (None, row[1]):
            return None
        document: Document = json.loads(row[0])
        return document

    def replace(self, kind: Kind, document: Document) -> None:
        """Store a document that exists."""
        self._database.execute(
            "UPDATE documents SET content = ?, lookup = ? WHERE kind = ? AND id = ?",
            (json.dumps(document), _lookup(kind, document), kind, document["id"]),
        )

    def delete(self, kind: Kind, identifier: object) -> None:
        """Delete a document."""
        self._database.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, identifier))

    def all(self, kind: Kind, organization: int) -> list[Document]:
        """Return an organization's documents of a kind, oldest first."""
        rows = self._database.execute(
            "SELECT content FROM documents WHERE kind = ? AND organization = ? ORDER BY id", (kind, organization)
        )
        return [json.loads(content) for (content,) in rows]

    def matching(self, kind: Kind, organization: int | None, *values: object) -> list[Document]:
        """Return the documents whose indexed fields have these values, oldest first."""
        rows = self._database.execute(
            "SELECT content, organization FROM documents WHERE kind = ? AND lookup = ? ORDER BY id",
            (kind, json.dumps(values)),
        )
        return [json.loads(content) for content, owner in rows if organization in (None, owner)]

    def clear(self) -> None:
        """Delete everything but users."""
        self._database.execute("DELETE FROM documents WHERE kind <> 'user'")
        self._database.execute("DELETE FROM mails")

    def send_mail(self, event: str) -> None:
        """Count a mail that VerifyWise would send for an event."""
        self._database.execute(
            "INSERT INTO mails VALUES (?, 1) ON CONFLICT (event) DO UPDATE SET number = number + 1", (event,)
        )

    def mails(self) -> dict[str, int]:
        """Return the number of mails by event."""
        return dict(self._database.execute("SELECT event, number FROM mails").fetchall())


def _lookup(kind: Kind, document: Document) -> str | None:
    """Return the indexed fields as one text; None if one of them is missing."""
    values = [document.get(name) for name in _INDEXED.get(kind, ())]
    return json.dumps(values) if values and None not in values else None
