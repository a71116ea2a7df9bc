"""The sensors that detect changes of tenants.yaml, and changes of registries that a few requests show."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.partitions import partition_keys, tenant_partitions
from verifywise_mlflow.defs.sensors.first_syncs import TenantsCursor, choose_first_syncs
from verifywise_mlflow.defs.sensors.poll_tick import ChangePoll, poll_tenants
from verifywise_mlflow.defs.sensors.probe_pool import ProbePool
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import active_tenants, reconcile_tenants
from verifywise_mlflow.services import change_polls
from verifywise_mlflow.tenants.loading import load_tenants

_NEWEST_UPDATES_POLL = ChangePoll(
    interval_of=lambda intervals: intervals.poll,
    known=change_polls.has_prompts,
    read=change_polls.fetch_newest_updates,
    change_token=change_polls.update_change_token,
    unreported=change_polls.unreported_creation,
    # A server gets two probes, the default limit of its connections: a third probe would wait and take a thread from
    # other servers.
    pool=ProbePool(max_probes=32, max_probes_per_server=2),
    budget_seconds=40,
    max_probe_seconds=12,
)

_LISTING_POLL = ChangePoll(
    interval_of=lambda intervals: intervals.listing,
    known=lambda _store, _tenant_id: None,
    read=lambda tenant, _known: change_polls.fetch_fingerprints(tenant),
    change_token=change_polls.registry_change_token,
    # This pool has fewer threads, since each probe holds a whole registry in memory while it reads.
    pool=ProbePool(max_probes=16, max_probes_per_server=2),
    budget_seconds=40,
    max_probe_seconds=20,
    unreported=change_polls.unreported_models,
    is_relaxed_by_webhooks=True,
)


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions in line with tenants.yaml and requests the first sync of new tenants, at "
    f"most {MAX_SYNCS_PER_TICK} in a tick. The cursor lists the others under 'waiting': they follow in the next ticks. "
    "A tenant that is removed from the file is no longer synced; its partition, data and history are kept.",
)
def tenants(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Add a partition for each tenant that has none, up to the limit of a tick, and request its first sync."""
    tenants_in_file, cursor = load_tenants(), TenantsCursor.from_json(context.cursor)
    digest = fingerprint({name: tenant.model_dump(mode="json") for name, tenant in tenants_in_file.items()})[:16]
    with Store(database_url()) as store:
        # This takes some milliseconds per tenant, so it is skipped if neither the file nor the store has changed.
        if cursor.digest != digest or active_tenants(store) != set(tenants_in_file):
            for tenant_id in reconcile_tenants(store, tenants_in_file, datetime.now(UTC)):
                context.log.info(
                    f"{tenant_id} was removed from tenants.yaml: it is no longer synced, and its data is kept"
                )
    first_syncs = choose_first_syncs(tenants_in_file, partition_keys(context.instance), cursor.waiting)
    next_cursor = TenantsCursor(digest=digest, waiting=first_syncs.waiting).to_json()
    if not first_syncs.requested:
        skip_reason = f"all {len(tenants_in_file)} tenants of tenants.yaml have a partition"
        return dg.SensorResult(skip_reason=skip_reason, cursor=next_cursor)
    if first_syncs.waiting:
        context.log.info(
            f"requested the first sync of {len(first_syncs.requested)} tenants; {len(first_syncs.waiting)} follow in "
            f"the next ticks (limit: {MAX_SYNCS_PER_TICK} syncs per tick)"
        )
    return dg.SensorResult(
        dynamic_partitions_requests=[tenant_partitions.build_add_request(list(first_syncs.requested))],
        run_requests=[dg.RunRequest(partition_key=tenant_id) for tenant_id in first_syncs.requested],
        cursor=next_cursor,
    )


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Polls each tenant's server once per intervals.poll: one request reads the timestamp of the newest "
    "version, and if there are prompts, another request reads the timestamp of the newest prompt. It requests a "
    "sync if no sync has stored that state yet. Tags, aliases and runs update no timestamp. "
    "A tenant that cannot be read is polled with exponential back-off, up to 15 minutes: the cursor lists such tenants "
    "under 'failing', as [consecutive failures, first failure, next poll].",
)
def new_versions(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Poll the newest updates of the tenants that are due."""
    return poll_tenants(context, _NEWEST_UPDATES_POLL)


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads the listings of each tenant's models, versions and prompts once per intervals.listing, spread "
    "over the interval, and requests a sync if they differ from what the last sync stored: an alias, a tag, a "
    "description or a deletion. Runs and files are not in the listings; the schedules cover them. A tenant with "
    "webhooks.listing is polled at that interval while its webhooks are alive. The cursor lists tenants that cannot be "
    "read under 'failing', and those with a change that their webhooks have not reported so far under 'suspected'.",
)
def changed_listings(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Compare the listings of the tenants that are due with the store."""
    return poll_tenants(context, _LISTING_POLL)
