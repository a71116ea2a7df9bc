"""The words of OpenSSF Model Signing 1.0, its rules on names, and its root digest.

From the specification's sections 4 to 6 and 9: https://github.com/ossf/model-signing-spec, spec/v1.0.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
EARLY_PREDICATE_TYPE = "https://model_signing/Digests/v0.1"
"""Of model-signing 0.2, which signed other bytes than DSSE says, and no list of what it had left out."""

DEFAULT_EXCLUSIONS = frozenset({".git", ".gitattributes", ".github", ".gitignore"})
"""At the top of the model, whatever the statement says."""

MAX_PATH_BYTES = 4_096
"""Linux's own bound on a path."""


def is_bundle_name(path: str) -> bool:
    """Whether a file at the top of a model (or beside its folder) can be its signature, by its name."""
    return "/" not in path and path.lower().endswith((".sig", ".sigstore", ".sigstore.json"))


def is_canonical(path: str) -> bool:
    """Whether a name is one that a signer may write: relative, normalized, without a way out of the model."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return size <= MAX_PATH_BYTES and "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def is_left_out(path: str, ignored: AbstractSet[str]) -> bool:
    """Whether ``path`` is one of the ignored ones or lies below one of them. All are relative to the model."""
    return not ignored.isdisjoint([path, *map(str, PurePosixPath(path).parents)])


def root_digest(digests: Iterable[str]) -> str:
    """SHA-256 over the digests' bytes, in the order of the resources.

    Args:
        digests: Hexadecimal.

    Raises:
        ValueError: One is not.
    """
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
