"""Runs all checks of the installation. A problem of an earlier check may explain the problems of later checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.services.installation.broker import check_broker
from verifywise_mlflow.services.installation.database import check_database, utc_now
from verifywise_mlflow.services.installation.finding import Finding
from verifywise_mlflow.services.installation.run_queue import check_queue
from verifywise_mlflow.services.installation.software import (
    check_disk,
    check_packages,
    check_sandbox,
    check_telemetry,
    used_directories,
)
from verifywise_mlflow.services.installation.tenants import check_keys, check_policies, check_secrets, check_servers
from verifywise_mlflow.services.installation.webhooks import check_webhooks
from verifywise_mlflow.services.metrics.queue_state import QueueState
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant


def diagnose(
    environment: Mapping[str, str],
    read_queue: Callable[[], QueueState] | None,
    *,
    contact_servers: bool = True,
    now: Callable[[], datetime] = utc_now,
) -> Iterator[Finding]:
    """Yield the findings of all checks. Nothing is changed.

    Args:
        environment: The environment variables, which name the directories and the broker.
        read_queue: Reads Dagster's queue; None if no instance is configured.
        contact_servers: Whether to send a request to each tenant's server.
        now: Our clock.
    """
    yield check_packages()
    tenants: Mapping[str, Tenant] = {}
    try:
        tenants = load_tenants()
    except TenantsFileError as error:
        yield Finding("tenants.yaml", "problem", str(error))
    else:
        yield Finding("tenants.yaml", "ok", f"{len(tenants):,} tenants")
        yield from check_secrets(tenants)
        yield from check_policies(tenants)
    yield from check_keys()
    try:
        yield from check_database(database_url(), now=now)
        yield from check_webhooks(tenants, database_url(), now())
    except DatabaseError as error:
        yield Finding("database", "problem", str(error))
    yield from check_queue(read_queue)
    yield from check_broker(environment)
    yield from check_disk(used_directories(environment))
    yield check_sandbox(is_required=any(tenant.artifacts.sandbox == "required" for tenant in tenants.values()))
    yield from check_telemetry()
    if contact_servers:
        yield from check_servers(tenants, now)
