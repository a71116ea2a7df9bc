"""Checks tenants.yaml, each tenant's secrets, policies and server, and the keys of the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.connector.server_clock import read_server_clock
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.services.audit_signing import (
    PREVIOUS_KEY_VARIABLE,
    SIGNING_KEY_VARIABLE,
    previous_signing_key,
    signing_key,
)
from verifywise_mlflow.services.audit_verification import PUBLIC_KEYS_VARIABLE, public_keys
from verifywise_mlflow.services.installation.clock_skew import check_skew
from verifywise_mlflow.services.installation.finding import Finding
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.errors import SecretUnavailableError, TenantsFileError
from verifywise_mlflow.tenants.secret_scope import secret_references
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.server import DatabricksServer
from verifywise_mlflow.tenants.tenant import Tenant

_SERVERS_AT_ONCE: Final = 8


def check_secrets(tenants: Mapping[str, Tenant]) -> Iterator[Finding]:
    """Resolve every reference of every tenant; no secret is stored or shown."""
    references = 0
    failures = []
    for tenant_id, tenant in tenants.items():
        for reference in secret_references(tenant):
            references += 1
            try:
                SecretReference(reference).resolve()
            except SecretUnavailableError as error:
                failures.append(Finding(f"secrets of {tenant_id}", "problem", str(error)))
    yield from failures
    if not failures:
        yield Finding("secrets", "ok", f"all {references:,} references of {len(tenants):,} tenants can be resolved")


def check_policies(tenants: Mapping[str, Tenant]) -> Iterator[Finding]:
    """Load the policies of every tenant."""
    failures = []
    for tenant_id, tenant in tenants.items():
        try:
            load_rules(tenant)
        except TenantsFileError as error:
            failures.append(Finding(f"policies of {tenant_id}", "problem", str(error)))
    yield from failures
    if not failures:
        yield Finding("policies", "ok", f"those of {len(tenants):,} tenants are valid")


def check_servers(tenants: Mapping[str, Tenant], now: Callable[[], datetime]) -> Iterator[Finding]:
    """Send one request to the server of each tenant, several at a time, and compare its clock with ours."""
    with ThreadPoolExecutor(_SERVERS_AT_ONCE) as threads:
        yield from threads.map(lambda tenant: _check_server(tenant, now), tenants.values())


def _check_server(tenant: Tenant, now: Callable[[], datetime]) -> Finding:
    subject = f"server of {tenant.tenant_id}"
    if isinstance(tenant.server, DatabricksServer):
        remedy = f"run verifywise-mlflow check {tenant.tenant_id}"
        return Finding(subject, "skipped", "Databricks has no request for its version", remedy)
    before = now()
    try:
        read = read_server_clock(connection_settings(tenant))
    except (HttpError, SecretUnavailableError) as error:
        return Finding(subject, "problem", str(error), f"run verifywise-mlflow check {tenant.tenant_id}")
    version = f"MLflow {escape_invisible(read.version)}"
    if read.date is None:
        return Finding(subject, "warning", f"{version}; it sends no Date, so its clock is unknown")
    skew = check_skew(subject, read.date, before, now(), precision=timedelta(seconds=1))
    detail = f"{version}; its clock {skew.detail}"
    return Finding(subject, skew.outcome, detail, skew.remedy)


def check_keys() -> Iterator[Finding]:
    """Load the keys that sign and verify the audit trail."""
    try:
        signs = signing_key() is not None
    except SecretUnavailableError as error:
        yield Finding("signing key", "problem", str(error), "create one with verifywise-mlflow audit new-key")
    else:
        unset = f"{SIGNING_KEY_VARIABLE} is not set: syncs from here chain the audit trail and sign no checkpoint"
        yield Finding("signing key", "ok", "usable" if signs else unset)
    try:
        if previous_signing_key() is not None:
            yield Finding("previous signing key", "ok", "usable: it vouches for the signing key")
    except SecretUnavailableError as error:
        yield Finding("previous signing key", "problem", str(error), f"correct or unset {PREVIOUS_KEY_VARIABLE}")
    try:
        count = len(public_keys())
    except SecretUnavailableError as error:
        yield Finding("public keys", "problem", str(error), f"correct the paths in {PUBLIC_KEYS_VARIABLE}")
    else:
        yield Finding("public keys", "ok", f"{count} configured")
