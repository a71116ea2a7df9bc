"""Constants of OpenSSF Model Signing 1.0, its rules for paths, and its root digest.

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
"""The format of model-signing 0.2. It signs other bytes than DSSE requires, and has no list of ignored paths."""

DEFAULT_IGNORED_PATHS = frozenset({".git", ".gitattributes", ".github", ".gitignore"})
"""Names at the top of the model that are always ignored, even if the statement does not list them."""

MAX_PATH_BYTES = 4_096
"""Linux's limit on a path."""


def is_bundle_name(path: str) -> bool:
    """Whether a file at the top of a model, or next to its folder, has the name of a signature."""
    return "/" not in path and path.lower().endswith((".sig", ".sigstore", ".sigstore.json"))


def is_canonical_path(path: str) -> bool:
    """Whether a signer may write this path: relative, normalized and without path traversal."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return size <= MAX_PATH_BYTES and "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def is_ignored(path: str, ignored: AbstractSet[str]) -> bool:
    """Whether ``path`` is an ignored path or is below an ignored path. All paths are relative to the model."""
    return not ignored.isdisjoint([path, *map(str, PurePosixPath(path).parents)])


def root_digest(digests: Iterable[str]) -> str:
    """Return the SHA-256 over the digests' bytes, in the order of the resources.

    Args:
        digests: Hexadecimal.

    Raises:
        ValueError: A digest is not hexadecimal.
    """
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
