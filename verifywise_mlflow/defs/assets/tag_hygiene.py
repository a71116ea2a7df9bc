"""The tag hygiene report as table metadata of ``canonical_records``."""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.tag_hygiene import TagHygiene
from verifywise_mlflow.services.tag_hygiene import problem_rows

_MAX_ROWS = 50
"""The maximum number of rows. `verifywise-mlflow tags --json` lists all rows."""
_TEXT_COLUMNS = ("problem", "where", "key", "value", "probably", "example")
_SCHEMA = dg.TableSchema([*map(dg.TableColumn, _TEXT_COLUMNS), dg.TableColumn("uses", "int")])


def tag_hygiene_table(report: TagHygiene) -> dg.TableMetadataValue:
    """Return the report as a table: misspelled keys, unknown values, texts that are not values, unmapped keys."""
    records = []
    for row in problem_rows(report)[:_MAX_ROWS]:
        version = f" version {row['example_version']}" if row["example_version"] else ""
        records.append(
            dg.TableRecord(
                {
                    "problem": str(row["problem"]),
                    "where": str(row["where"]),
                    "key": quote(str(row["key"])),
                    "value": quote(str(row["value"])) if row["value"] is not None else None,
                    "probably": row["probably"],
                    "example": quote(str(row["example_model"])) + version,
                    "uses": row["uses"],
                }
            )
        )
    return dg.MetadataValue.table(records, schema=_SCHEMA)
