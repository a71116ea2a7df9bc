"""The size limit of an event's metadata: Dagster keeps each event for months and shows it in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

MAX_METADATA_BYTES: Final = 64 * 1024
"""The maximum size of an event's metadata in bytes. Dagster stores the metadata as JSON of about this size."""
LEFT_OUT: Final = "left_out"

V = TypeVar("V")


def within_size_limit(metadata: Mapping[str, V]) -> dict[str, V | str]:
    """Return an event's metadata. Beyond the limit, the largest entries are left out and named instead."""
    sizes = {name: len(name) + len(repr(value)) for name, value in metadata.items()}
    limited: dict[str, V | str] = dict(metadata)
    left_out = []
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if sum(sizes.values()) <= MAX_METADATA_BYTES:
            break
        left_out.append(f"{name} ({sizes.pop(name):,} bytes)")
        del limited[name]
    if left_out:
        limited[LEFT_OUT] = f"more than {MAX_METADATA_BYTES:,} bytes in all: {', '.join(left_out)}"[:1_000]
    return limited
