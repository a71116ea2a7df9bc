"""Notices what is new: tenants in the file, and whatever can be seen of their registries in few requests."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.partitions import partition_keys, tenant_partitions
from verifywise_mlflow.defs.sensors.polling_sensor import Watch, look
from verifywise_mlflow.defs.sensors.probe_pool import Sweep
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import active_tenants, keep_in_step
from verifywise_mlflow.services import change_polls
from verifywise_mlflow.tenants.loading import load_tenants

_VERSIONS = Watch(
    interval=lambda intervals: intervals.poll,
    ask=change_polls.ask_newest_version_time,
    news=change_polls.news_of_versions,
    # Two a server, as a connection's own bounds have it by default: more would wait there, on a place of others.
    sweep=Sweep(places=32, places_a_server=2),
    budget_seconds=40,
    longest_seconds=12,
)

_LISTINGS = Watch(
    interval=lambda intervals: intervals.listing,
    ask=change_polls.ask_listings,
    news=change_polls.news_of_listings,
    # Fewer, since each holds a whole registry while it is read.
    sweep=Sweep(places=16, places_a_server=2),
    budget_seconds=40,
    longest_seconds=20,
)


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions in step with tenants.yaml, and asks for the first sync of a new tenant. "
    "A tenant that is taken out is no longer synced; its partition, data and history stay.",
)
def tenants(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Add what the file has and Dagster has not."""
    described = load_tenants()
    digest = fingerprint({tenant_id: tenant.model_dump(mode="json") for tenant_id, tenant in described.items()})[:16]
    with Store(database_url()) as store:
        # To go through the tenants takes some milliseconds each, so not where file and store have stayed as they were.
        if context.cursor != digest or active_tenants(store) != set(described):
            for tenant_id in keep_in_step(store, described, datetime.now(UTC)):
                context.log.info(f"{tenant_id} is no longer in tenants.yaml: it is not synced any more, its data stays")
    known = partition_keys(context.instance)
    new = [tenant_id for tenant_id in described if tenant_id not in known]
    if not new:
        return dg.SensorResult(skip_reason=f"all {len(described)} tenants of the file are partitions", cursor=digest)
    return dg.SensorResult(
        dynamic_partitions_requests=[tenant_partitions.build_add_request(new)],
        run_requests=[dg.RunRequest(partition_key=tenant_id) for tenant_id in new],
        cursor=digest,
    )


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks each tenant's server, once an interval (intervals.poll), for the time stamp of its newest "
    "version, one request each, and asks for a sync where no sync has seen it. Tags, aliases and runs move no time "
    "stamp. A tenant that cannot be read is asked less and less often, down to every 15 minutes: the cursor shows "
    "which ones those are, under 'failing', with how often in a row and since when.",
)
def new_versions(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Poll the tenants that are due."""
    return look(context, _VERSIONS)


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads both listings of each tenant's registry, once an interval (intervals.listing) and spread over "
    "it, and asks for a sync where they differ from what the last sync has left: an alias, a tag, a description, a "
    "deletion. Runs and files are not in the listings: the schedules see to those. The cursor shows under 'failing' "
    "who cannot be read.",
)
def changed_listings(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Compare the listings of the tenants that are due with the store."""
    return look(context, _LISTINGS)
