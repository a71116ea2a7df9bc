"""An event's metadata has a size limit, regardless of what a server sends."""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.defs.metadata_limit import LEFT_OUT, MAX_METADATA_BYTES, within_size_limit


def test_small_metadata_stays_as_it_is() -> None:
    metadata = {"read": 3, "notes": "x" * 1_000}

    assert within_size_limit(metadata) == metadata


def test_the_largest_entries_are_left_out_and_named() -> None:
    table = dg.MetadataValue.table([dg.TableRecord({"name": "n" * 1_000}) for _ in range(100)])

    limited = within_size_limit({"read": 3, "notes": "x" * 200_000_000, "preview": table})

    assert limited.keys() == {"read", LEFT_OUT}
    assert "notes (200,000,0" in str(limited[LEFT_OUT])
    assert len(repr(limited)) < MAX_METADATA_BYTES
