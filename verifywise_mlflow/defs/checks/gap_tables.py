"""Open gaps as Dagster tables, in the order of ``compliance.gap_urgency``: one table per check, and one for all
rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import dagster as dg

from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.gap_urgency import Gap, UrgentGap
from verifywise_mlflow.defs.markdown import version_links
from verifywise_mlflow.defs.metadata_table import cell
from verifywise_mlflow.services.compliance_summary import days_open
from verifywise_mlflow.tenants.tenant import Tenant

# There are few columns, since Dagster repeats the table's schema in each result. The schema takes more bytes than the
# cells.
_COLUMNS: Final = (
    dg.TableColumn("version"),
    dg.TableColumn("verdict"),
    dg.TableColumn("days_open", "int"),
    dg.TableColumn("reason"),
)
_GAP_TABLE: Final = dg.TableSchema([*_COLUMNS])
_URGENT_TABLE: Final = dg.TableSchema([dg.TableColumn("severity"), dg.TableColumn("rule"), *_COLUMNS])


def worst_gaps_table(
    tenant: Tenant, gaps: Sequence[Gap], now: datetime
) -> dict[str, dg.TableMetadataValue | dg.MarkdownMetadataValue]:
    """Return the most urgent gaps of one rule with links to their versions; empty without gaps.

    `verifywise-mlflow gaps --json` lists all gaps.
    """
    if not gaps:
        return {}
    records = [dg.TableRecord(_cells(gap, now)) for gap in gaps]
    return {"versions": dg.MetadataValue.table(records, schema=_GAP_TABLE), "pages": version_links(tenant, gaps)}


def urgent_gaps_table(gaps: Sequence[UrgentGap], now: datetime) -> dict[str, dg.TableMetadataValue]:
    """Return the most urgent gaps of all rules; empty without gaps."""
    records = [
        dg.TableRecord({"severity": urgent.severity.value, "rule": cell(urgent.gap.rule_id), **_cells(urgent.gap, now)})
        for urgent in gaps
    ]
    return {"urgent_gaps": dg.MetadataValue.table(records, schema=_URGENT_TABLE)} if records else {}


def _cells(gap: Gap, now: datetime) -> dict[str, str | int | float | bool | None]:
    stage = f" ({gap.lifecycle_stage})" if gap.lifecycle_stage else ""
    return {
        "version": f"{escape_invisible(gap.model_name)} version {gap.version_number}{stage}",
        "verdict": gap.verdict,
        "days_open": days_open(gap.open_since, now),
        "reason": cell(gap.reason),  # `verifywise-mlflow policy explain` shows the full text
    }
