"""Leaves of the state log: one for each state that was written, with the hash of its content.

A leaf's text is RFC 8785 JSON of texts and whole numbers. For such JSON, Python's encoder and RFC 8785 agree if keys
are ASCII. The content of a state is such JSON, too: usually an object with the stored text of each column. So a
verifier needs no rules for numbers, and a proof can contain exactly the text that was hashed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Final, Literal, TypeAlias

import orjson

from verifywise_mlflow.audit.merkle import leaf_hash
from verifywise_mlflow.common.value_object import value_object

StateKind = Literal[
    "record",
    "manifest",
    "evaluation",
    "lifecycle event",
    "integrity event",
    "waiver granted",
    "waiver ended",
    "configuration",
    "prompt version",
    "agent",
]
Content: TypeAlias = "Mapping[str, str | int | Content | list[str] | None]"

LEAF_FORMAT: Final = "verifywise state 1"

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)


def content_text(content: Content) -> str:
    """Return the RFC 8785 JSON of an object with ASCII keys: texts, whole numbers below 2^53, nulls, lists, objects."""
    return _ENCODER.encode(content)


def content_hash(content: Content) -> str:
    """Return the SHA-256, in hex, of ``content_bytes``.

    Raises:
        TypeError: a text has a lone surrogate, which no stored text has.
    """
    return hashlib.sha256(content_bytes(content)).hexdigest()


def content_bytes(content: Content) -> bytes:
    """Return ``content_text`` in UTF-8.

    orjson takes half of the time of Python's encoder.

    Raises:
        TypeError: a text has a lone surrogate, which no stored text has.
    """
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


@value_object
class State:
    """A state that was written: its object, the time, the sync, and the hash of its content."""

    kind: StateKind
    model_name: str
    """The name in the form that Postgres stores, without NUL and lone surrogates; empty if the state belongs to no
    model."""
    version_number: int
    """0 if the state belongs to no version."""
    object_id: str
    """What distinguishes several objects of one kind and version: an event, a waiver, a kind of configuration."""
    written_at: datetime
    sync_id: str
    """The sync that wrote the state; empty if a command wrote it."""
    content: str
    """``content_hash`` of the row."""


def leaf_text(tenant_id: str, position: int, state: State) -> str:
    """Return the text of a leaf, which is hashed and which a proof contains."""
    before_model, before_tenant, end = _shared_parts(state.kind, state.sync_id, tenant_id, state.written_at)
    content, model, object_id = map(encode_basestring, (state.content, state.model_name, state.object_id))
    return (
        f'{{"content":{content}{before_model}{model},"object":{object_id},"position":{position}'
        f"{before_tenant}{state.version_number}{end}"
    )


@lru_cache(maxsize=64)
def _shared_parts(kind: str, sync_id: str, tenant_id: str, written_at: datetime) -> tuple[str, str, str]:
    """Return the parts of a leaf's text that a batch's states share. Encoding them for each leaf doubles the time."""
    time = written_at.astimezone(UTC).isoformat(timespec="microseconds")
    return (
        f',"format":"{LEAF_FORMAT}","kind":{encode_basestring(kind)},"model":',
        f',"sync_id":{encode_basestring(sync_id)},"tenant":{encode_basestring(tenant_id)},"version":',
        f',"written_at":"{time}"}}',
    )


def model_leaf(model_name: str, root: bytes) -> bytes:
    """Return the hash of a model's leaf in the tree over the newest states of all models."""
    return leaf_hash(content_text({"model": model_name, "root": root.hex()}).encode())


def hash_of(tenant_id: str, position: int, state: State) -> bytes:
    """Return the hash of a leaf."""
    return leaf_hash(leaf_text(tenant_id, position, state).encode())
