"""The job and schedule that verify the audit trails of all tenants once a day."""

import dagster as dg

from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store

DAMAGED_TRAILS = "damaged"
"""The metadata key of a failed step that maps each damaged trail's tenant to the damage."""


@dg.op
def recompute_chains(context: dg.OpExecutionContext) -> None:
    """Recompute each tenant's hash chain and fail if one does not match."""
    # With cryptography, which no other run needs.
    from verifywise_mlflow.services import audit_verification

    with Store(database_url()) as store:
        with store.begin_shared() as connection:
            tenant_ids = sorted(tenancy.active_tenants(connection))
        reports = audit_verification.verify_audit_trails(store, tenant_ids, audit_verification.public_keys())
        problems = {report.tenant_id: audit_verification.problem(store, report) for report in reports}
    damaged = {tenant_id: sentence for tenant_id, sentence in problems.items() if sentence}
    if damaged:
        raise dg.Failure(
            f"damaged audit trails: {', '.join(damaged)}",
            metadata={DAMAGED_TRAILS: dg.MetadataValue.json(damaged)},
            allow_retries=False,
        )
    entries = sum(report.entries for report in reports)
    context.log.info(f"verified {len(reports)} audit trails with {entries:,} entries: none is damaged")


@dg.job(description="Recomputes the audit trail of every tenant and fails if one was changed after it was written.")
def verify_audit_trails() -> None:
    """Verify all trails."""
    recompute_chains()


daily_audit_verification = dg.ScheduleDefinition(
    name="daily_audit_verification",
    job=verify_audit_trails,
    cron_schedule="37 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Starts the job verify_audit_trails once a day.",
)
