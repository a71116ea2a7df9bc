"""Recognizable secrets, planted in every credential field and searched for in all output."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import psycopg2
from psycopg2 import sql
from pydantic import BaseModel

from verifywise_mlflow.tenants.secrets import SecretReference


@dataclass(slots=True)
class Canaries:
    """The secrets by purpose, each with a unique part."""

    marker_by_purpose: dict[str, str] = field(default_factory=dict)

    def new(self, purpose: str) -> str:
        """Return a new secret of letters and digits, so that no escaping hides it."""
        self.marker_by_purpose[purpose] = f"canary{secrets.token_hex(12)}"
        return self.marker_by_purpose[purpose]

    def key(self, purpose: str, pem: str) -> str:
        """Add a key that was made elsewhere. The key's longest line identifies it."""
        self.marker_by_purpose[purpose] = max(pem.splitlines(), key=len)[8:56]
        return pem

    def purposes_found_in(self, data: bytes) -> set[str]:
        """Return the purposes of the secrets in the data: plain, in base64 at any offset, in hex, or compressed."""
        return {
            purpose
            for purpose, part in self.marker_by_purpose.items()
            if any(form in readable for readable in _readable(data) for form in _forms(part.encode()))
        }


def _forms(part: bytes) -> Iterator[bytes]:
    yield part
    yield binascii.hexlify(part)
    yield binascii.hexlify(part).upper()
    for before in range(3):
        # Characters that depend on the neighboring bytes are omitted.
        yield base64.b64encode(b"." * before + part)[4 if before else 0 : -4]
        yield base64.urlsafe_b64encode(b"." * before + part)[4 if before else 0 : -4]


def _readable(data: bytes) -> Iterator[bytes]:
    yield data
    if data[:1] == b"\x78":
        try:
            yield zlib.decompress(data)
        except zlib.error:
            return


def fields_for_secrets(model: type[BaseModel], outer: frozenset[type[BaseModel]] = frozenset()) -> set[str]:
    """Return the fields of a model, and of the models in it, that take a reference to a secret.

    Conditions of a mapping contain conditions, so a model that contains itself is not entered again.
    """
    fields: set[str] = set()
    if model in outer:
        return fields
    for name, field_info in model.model_fields.items():
        for kind in _kinds(field_info.annotation):
            if kind is SecretReference:
                fields.add(f"{model.__name__}.{name}")
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                fields |= fields_for_secrets(kind, outer | {model})
    return fields


def fields_with_secrets(value: object, name: str = "") -> set[str]:
    """Return the fields of a settings model that refer to a secret."""
    if isinstance(value, SecretReference):
        return {name}
    if isinstance(value, BaseModel):
        inner = [(f"{type(value).__name__}.{field}", getattr(value, field)) for field in type(value).model_fields]
    elif isinstance(value, dict):
        inner = [(name, item) for item in value.values()]
    elif isinstance(value, list | tuple):
        inner = [(name, item) for item in value]
    else:
        return set()
    return {fields for field, item in inner for fields in fields_with_secrets(item, field)}


def _kinds(annotation: object) -> Iterator[object]:
    yield annotation
    for argument in get_args(annotation):
        yield from _kinds(argument)


def all_of_a_database(url: str) -> Iterator[bytes]:
    """Yield every value of every table, including the tables of the system catalog that contain user-supplied text."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('information_schema', 'pg_catalog') ORDER BY 1, 2"
        )
        for table in [*cursor.fetchall(), ("pg_catalog", "pg_description"), ("pg_catalog", "pg_db_role_setting")]:
            cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(*table)))
            for row in cursor:
                yield from (_bytes(value) for value in row if value is not None)


def all_below(directory: Path) -> Iterator[bytes]:
    """Yield every file, with its name."""
    for path in directory.rglob("*"):
        yield str(path).encode()
        if path.is_file():
            yield path.read_bytes()


def leaked_canaries(canaries: Canaries, outputs: Iterable[bytes]) -> set[str]:
    """Return the purposes of the secrets that were written."""
    return {purpose for chunk in outputs for purpose in canaries.purposes_found_in(chunk)}


def _bytes(value: object) -> bytes:
    if isinstance(value, memoryview | bytes):
        return bytes(value)
    return (value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)).encode()
