"""The deliveries of a tenant's verdicts as assets, downstream of ``compliance_results``, partitioned by tenant.

They are not part of the sync: a target that is down must not fail or delay a sync. A sensor requests them when the
outbox has something to deliver.
"""

# No `from __future__ import annotations` here: Dagster reads the assets' annotations as types.

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg

from verifywise_mlflow.common.problems import shorten
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.defs.partitions import tenant_of_partition, tenant_partitions
from verifywise_mlflow.defs.run_tags import USER_TAG
from verifywise_mlflow.delivery.configured_targets import configured_targets
from verifywise_mlflow.delivery.drain import Drain, DrainReport
from verifywise_mlflow.delivery.target import Target
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.delivery_status import delivery_statuses
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.delivery.verifywise import VERIFYWISE
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.tenant import Tenant

DELIVERED: Final = "delivered"
"""The check that fails if a delivery was stopped or waits, or if versions are parked."""
MAX_SECONDS: Final = 600.0
"""After this time, no further batch begins. The next run continues."""
_MAX_REMARKS: Final = 20


@dataclass(frozen=True, slots=True)
class DeliveryAsset:
    """An asset that delivers to some of a tenant's targets."""

    name: str
    kinds: frozenset[str]
    description: str
    is_for: Callable[[TargetName], bool]

    def targets(self, tenant: Tenant, store: Store) -> list[Target]:
        """Return the tenant's targets that this asset delivers to."""
        return [target for target in configured_targets(tenant, store) if self.is_for(target.name)]


DELIVERY_ASSETS: Final = (
    DeliveryAsset(
        "verifywise_delivery",
        frozenset({"postgres"}),
        "Delivers the verdicts to VerifyWise over its REST API: an inventory entry per version, a risk per failed "
        "rule, evidence files and, where the release has them, custom fields and metrics. It sets no status to "
        "Approved, deletes nothing, and leaves alone what people changed there. "
        "How to read it: the counts are what was written; the check 'delivered' says what is left and why.",
        lambda name: name == VERIFYWISE,
    ),
    DeliveryAsset(
        "event_delivery",
        frozenset({"postgres"}),
        "Delivers events to the tenant's webhooks and to OpenLineage. "
        "How to read it: the counts are what was sent; the check 'delivered' says what is left and why.",
        lambda name: name != VERIFYWISE,
    ),
)


def _build_asset(definition: DeliveryAsset) -> dg.AssetsDefinition:
    @dg.asset(
        name=definition.name,
        deps=[Stage.COMPLIANCE_RESULTS.value],
        partitions_def=tenant_partitions,
        group_name="model_governance",
        kinds=set(definition.kinds),
        owners=["team:data-platform"],
        description=definition.description,
        tags={"access_to_mlflow": "none"},
        check_specs=[
            dg.AssetCheckSpec(
                DELIVERED,
                asset=definition.name,
                description="Warns if a delivery was stopped or waits for a person, or if versions are parked: the "
                "command verifywise-mlflow deliver status has the details.",
            )
        ],
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        tenant_id = context.partition_key
        try:
            tenant = tenant_of_partition(tenant_id)
            with Store(database_url(), dagster_user=context.run.tags.get(USER_TAG)) as store:
                reports = {
                    target.name: Drain(store, tenant_id, target, dagster_run_id=context.run.run_id).run(
                        max_seconds=MAX_SECONDS
                    )
                    for target in definition.targets(tenant, store)
                }
                with store.begin(tenant_id) as session:
                    parked = sum(
                        status.outbox.parked
                        for status in delivery_statuses(session, tenant)
                        if definition.is_for(status.target)
                    )
        except (DatabaseError, TenantsFileError) as error:
            raise dg.Failure(shorten(str(error)), allow_retries=getattr(error, "retryable", False)) from None
        yield dg.MaterializeResult(metadata=_metadata(reports))
        yield _check_result(definition.name, reports, parked)

    return asset


def _metadata(reports: dict[TargetName, DrainReport]) -> dict[str, dg.MetadataValue]:
    if not reports:
        return {"outcome": dg.MetadataValue.text("no such target is configured")}
    metadata: dict[str, dg.MetadataValue] = {}
    for name, report in reports.items():
        prefix = "" if name == VERIFYWISE else f"{name}: "
        metadata[f"{prefix}outcome"] = dg.MetadataValue.text(report.outcome)
        for action, count in report.counts.items():
            metadata[f"{prefix}{action}"] = dg.MetadataValue.int(count)
        for word, count in report.versions.items():
            metadata[f"{prefix}versions {word}"] = dg.MetadataValue.int(count)
        if remarks := [*([report.reason] if report.reason else []), *report.remarks]:
            metadata[f"{prefix}remarks"] = dg.MetadataValue.text(_lines(remarks))
    return metadata


def _check_result(asset: str, reports: dict[TargetName, DrainReport], parked: int) -> dg.AssetCheckResult:
    problems = [
        f"{name}: {report.outcome}{f': {report.reason}' if report.reason else ''}"
        for name, report in reports.items()
        if report.outcome not in ("delivered", "nothing due", "busy")
    ]
    if parked:
        problems.append(f"parked versions: {parked:,}")
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=DELIVERED,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description=escape_invisible(shorten("; ".join(problems))) or "Everything that is due was delivered.",
    )


def _lines(sentences: Sequence[str]) -> str:
    shown = [escape_invisible(sentence) for sentence in sentences[:_MAX_REMARKS]]
    more = [f"{len(sentences) - _MAX_REMARKS:,} more"] if len(sentences) > _MAX_REMARKS else []
    return "\n".join([*shown, *more])


delivery_assets = [_build_asset(definition) for definition in DELIVERY_ASSETS]
