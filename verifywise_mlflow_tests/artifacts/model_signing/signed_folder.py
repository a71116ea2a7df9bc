"""The folder that the reference implementation signed, and its bundles. See ``make_bundles``."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

BUNDLES = Path(__file__).with_name("bundles")

FOLDER = "classifier"
FILES: dict[str, bytes] = {
    "MLmodel": b"flavors: {}\n",
    "a/b": b"in a folder",
    "a.txt": b"sorted otherwise by whole names and by segments",
    "a-b/c": b"so is this",
    "data/weights.bin": bytes(range(256)) * 8,
    "data/empty": b"",
    "größe 日本.json": b"{}",
    "code/.git": b"not at the top, so it is signed",
    ".gitignore": b"left out by default",
    ".git/config": b"left out by default, with its folder",
    "notes/today.txt": b"left out where the signer says so",
}
CURVES = {"p256": "SECP256R1", "p384": "SECP384R1", "p521": "SECP521R1"}

NOW = datetime(2026, 11, 1, tzinfo=UTC)
"""A time at which the certificates are valid."""
NOT_AFTER = datetime(2036, 1, 1, tzinfo=UTC)


def hashes() -> dict[str, str]:
    """Return the hashes of the folder, including the signature, as in our manifest."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in {**FILES, "model.sig": b"{}"}.items()}


def bundle(name: str) -> bytes:
    return (BUNDLES / f"{name}.sig").read_bytes()


def pem(name: str) -> bytes:
    return (BUNDLES / f"{name}.pem").read_bytes()


def payload(content: bytes) -> dict[str, object]:
    """Return the statement in a bundle."""
    statement: dict[str, object] = json.loads(base64.b64decode(json.loads(content)["dsseEnvelope"]["payload"]))
    return statement
