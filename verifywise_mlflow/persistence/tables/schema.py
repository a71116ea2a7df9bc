"""The schema that holds every table, and the sequence that revisions are drawn from."""

from __future__ import annotations

from sqlalchemy import BigInteger, MetaData, Sequence

SCHEMA = "verifywise"

metadata = MetaData(schema=SCHEMA)

revisions = Sequence("revisions", metadata=metadata, data_type=BigInteger)
