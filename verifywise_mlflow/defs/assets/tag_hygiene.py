"""The tag-hygiene report as a table beside a materialization."""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.normalizer.findings import quoted
from verifywise_mlflow.normalizer.tag_hygiene import TagHygiene
from verifywise_mlflow.services.tag_hygiene import problems

_SHOWN = 50
"""Rows; `verifywise-mlflow tags` shows all."""
_TEXTS = ("problem", "where", "key", "value", "probably", "example")
_SCHEMA = dg.TableSchema([*map(dg.TableColumn, _TEXTS), dg.TableColumn("uses", "int")])


def tag_hygiene_table(report: TagHygiene) -> dg.TableMetadataValue:
    """Return the report as Dagster shows tables: misspelt keys first, then unknown values, then unmapped keys."""
    records = []
    for row in problems(report)[:_SHOWN]:
        version = f" version {row['example_version']}" if row["example_version"] else ""
        records.append(
            dg.TableRecord(
                {
                    "problem": str(row["problem"]),
                    "where": str(row["where"]),
                    "key": quoted(str(row["key"])),
                    "value": quoted(str(row["value"])) if row["value"] is not None else None,
                    "probably": row["probably"],
                    "example": quoted(str(row["example_model"])) + version,
                    "uses": row["uses"],
                }
            )
        )
    return dg.MetadataValue.table(records, schema=_SCHEMA)
