"""Leaves of the state log: one for each state that was written, with the hash of its content.

A leaf's text is RFC 8785 JSON of texts and whole numbers, for which Python's encoder and RFC 8785 agree. What a state
holds is such JSON too: an object with the stored text of each column, so that nobody needs rules for numbers, and a
proof can carry the very text that was hashed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Final, Literal, TypeAlias

import orjson

from verifywise_mlflow.audit.merkle import leaf_hash

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
]
Content: TypeAlias = "Mapping[str, str | int | Content | list[str] | None]"

LEAF_FORMAT: Final = "verifywise state 1"

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)


def content_text(content: Content) -> str:
    """Return the RFC 8785 JSON of an object of texts, whole numbers below 2^53, nulls, lists and objects."""
    return _ENCODER.encode(content)


def content_hash(content: Content) -> str:
    """Return the SHA-256, in hex, of a content's JSON.

    orjson writes the bytes of ``content_text`` in half of the time. It refuses lone surrogates: no stored text has any.
    """
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class State:
    """A state that was written: which, when, by which sync, and the hash of its content."""

    kind: StateKind
    model_name: str
    """As Postgres keeps it, without NUL and lone surrogates; empty if the state belongs to no model."""
    version_number: int
    """0 if the state belongs to no version."""
    object_id: str
    """What distinguishes several objects of one kind and version: an event, a waiver, a kind of configuration."""
    written_at: datetime
    sync_id: str
    content: str
    """``content_hash`` of the row."""


def leaf_text(tenant_id: str, position: int, state: State) -> str:
    """Return the text of a leaf, which is hashed and which a proof carries."""
    texts = (state.content, LEAF_FORMAT, state.kind, state.model_name, state.object_id)
    return _LEAF % (
        *map(encode_basestring, texts),
        position,
        encode_basestring(state.sync_id),
        encode_basestring(tenant_id),
        state.version_number,
        _time_text(state.written_at),
    )


# Each row of a first sync has several leaves: the encoder of an object would take three times as long.
_LEAF: Final = (
    '{"content":%s,"format":%s,"kind":%s,"model":%s,"object":%s,"position":%d,"sync_id":%s,"tenant":%s,"version":%d,'
    '"written_at":"%s"}'
)


@lru_cache(maxsize=64)
def _time_text(time: datetime) -> str:
    """Return a time in UTC. A batch of states has one."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def model_leaf(model_name: str, root: bytes) -> bytes:
    """Return the hash of a model's leaf in the tree over the newest states of all models."""
    return leaf_hash(content_text({"model": model_name, "root": root.hex()}).encode())


def hash_of(tenant_id: str, position: int, state: State) -> bytes:
    """Return the hash of a leaf."""
    return leaf_hash(leaf_text(tenant_id, position, state).encode())
