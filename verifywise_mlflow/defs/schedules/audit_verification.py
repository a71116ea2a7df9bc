"""The job and schedule that verify the audit trails and records of all tenants once a day."""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from verifywise_mlflow.persistence.append_only import REMEDY
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.schema_protection import protection_problems
from verifywise_mlflow.persistence.store import Store

DAMAGED_TRAILS = "damaged"
"""The key in a failed step's metadata. Its value maps the tenant of each damaged trail to the damage."""
REPORTED_FOR: Final = timedelta(hours=25)
"""How long an acceptance of states is reported like damage: until the next daily verification, so that operators notice
an acceptance that was not theirs."""


@dg.op
def recompute_chains(context: dg.OpExecutionContext) -> None:
    """Recompute each tenant's hash chain and records, and fail if anything differs from what was written."""
    # Imported here, since these modules import cryptography, which few other runs need.
    from verifywise_mlflow.services import audit_verification
    from verifywise_mlflow.services.record_verification.alert_text import acceptance_sentence, damage_sentence
    from verifywise_mlflow.services.record_verification.verification import Scope, verify_records
    from verifywise_mlflow.witnesses.witnessed import WitnessedCheckpoints

    witnessed = WitnessedCheckpoints.configured()
    problems: dict[str, list[str | None]] = {}
    records = 0
    with Store(database_url()) as store:
        with store.begin_shared() as connection:
            tenant_ids = sorted(tenancy.active_tenants(connection))
            found = protection_problems(connection)
        # A person who disabled a trigger may have forged rows of any tenant.
        unguarded = f"{found[0]}: {REMEDY}" if found else None
        keys = audit_verification.public_keys()
        for report in audit_verification.verify_audit_trails(store, tenant_ids, keys, witnessed.of_tenant):
            tenant_id = report.tenant_id
            # One process, since the daily run competes with syncs.
            of_records = verify_records(store, tenant_id, Scope(processes=1))
            records += of_records.checked.records
            problems[tenant_id] = [
                audit_verification.problem(store, report),
                damage_sentence(of_records),
                acceptance_sentence(of_records, datetime.now(UTC) - REPORTED_FOR),
                witnessed.problems.get(tenant_id),
                unguarded,
            ]
    damaged = {
        tenant_id: ". ".join(sentences)
        for tenant_id, found in problems.items()
        if (sentences := [sentence for sentence in found if sentence])
    }
    if damaged:
        raise dg.Failure(
            f"damaged audit trails: {', '.join(damaged)}",
            metadata={DAMAGED_TRAILS: dg.MetadataValue.json(damaged)},
            allow_retries=False,
        )
    context.log.info(f"verified {len(problems)} audit trails and {records:,} records: none is damaged")


@dg.job(
    description="Recomputes the audit trail and the records of every tenant and fails if one was changed after it was "
    "written."
)
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
