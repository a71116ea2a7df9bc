"""The schema with all tables, and the sequence from which revisions are drawn."""

from __future__ import annotations

import os
import re
from typing import Final

from sqlalchemy import BigInteger, MetaData, Sequence
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

VARIABLE: Final = "VERIFYWISE_SCHEMA"
"""The environment variable that names the schema."""

DEFAULT_SCHEMA: Final = "verifywise_mlflow"
"""Not ``verifywise``: that is the schema of VerifyWise's own product, which keeps its ``alembic_version`` there and
grants its role write access to every table in it."""

_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""A name that Postgres accepts without quotes, unless the name is a keyword. Postgres truncates a name after 63
bytes."""

_RESERVED: Final = re.compile(r"public|information_schema|pg_.*")
_KEYWORDS: Final = RESERVED_WORDS | {"collation", "concurrently", "lateral", "system_user", "tablesample"}
"""Keywords that Postgres accepts as a schema's name only in quotes."""


def schema_name_problem(name: str) -> str | None:
    """Return why a schema may not have this name; None if it may."""
    if not _IDENTIFIER.fullmatch(name):
        return "it is not a lowercase identifier of at most 63 letters, digits and underscores"
    if _RESERVED.fullmatch(name) or name in _KEYWORDS:
        return "the name is reserved"
    return None


_configured: Final = os.environ.get(VARIABLE) or DEFAULT_SCHEMA

SCHEMA_PROBLEM: Final = schema_name_problem(_configured)
"""Why the configured name is refused, or None. ``database.connect`` raises it: an import cannot report the problem
well."""

SCHEMA: Final = DEFAULT_SCHEMA if SCHEMA_PROBLEM else _configured

metadata = MetaData(schema=SCHEMA)
"""The tables."""

views = MetaData(schema=SCHEMA)
"""Views, which Postgres computes from the tables: nothing is written to them, and an erasure does not name them."""

revisions = Sequence("revisions", metadata=metadata, data_type=BigInteger)
