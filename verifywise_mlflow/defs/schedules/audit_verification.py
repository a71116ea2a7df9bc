"""Recomputes the audit trails of all tenants once a day."""

import dagster as dg

from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_verification import public_keys, verify_trails

DAMAGED = "damaged"
"""Of a failed step's metadata: each damaged trail's tenant, with what is wrong."""


@dg.op
def recompute_chains(context: dg.OpExecutionContext) -> None:
    """Recompute each tenant's chain, and fail where one is not as it was written."""
    with Store(database_url()) as store:
        with store.begin(None) as connection:
            tenant_ids = sorted(tenancy.active_tenants(connection))
        reports = verify_trails(store, tenant_ids, public_keys())
    damaged = {report.tenant_id: f"{one.kind}: {one.sentence}" for report in reports if (one := report.damage)}
    if damaged:
        raise dg.Failure(
            f"damaged audit trails: {', '.join(damaged)}",
            metadata={DAMAGED: dg.MetadataValue.json(damaged)},
            allow_retries=False,
        )
    context.log.info(f"{len(reports)} trails with {sum(report.entries for report in reports):,} entries are whole")


@dg.job(description="Recomputes the audit trail of every tenant, and fails where one is not as it was written.")
def verify_audit_trails() -> None:
    """Verify all trails."""
    recompute_chains()


daily_audit_verification = dg.ScheduleDefinition(
    name="daily_audit_verification",
    job=verify_audit_trails,
    cron_schedule="37 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
