"""Polls a tenant's server for changes with a few requests, to decide whether a sync is worthwhile. Writes nothing.

A poll compares the response with what the last sync stored. Anything an earlier sync has stored is ignored, no
matter what triggered that sync. A change is identified by a token, so that the same change triggers only one sync.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from verifywise_mlflow.connector.change_probes import digest_registry, newest_version_timestamp
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.queries.reported_parts import ReportedParts, reported_parts
from verifywise_mlflow.persistence.repositories import change_hints, registry, tenancy
from verifywise_mlflow.persistence.repositories.registry import ListedVersion, StoredObject
from verifywise_mlflow.persistence.row_mapping import Key, fits_in_key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.errors import redacted_errors
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant

CONNECT_TIMEOUT_S = 3.0
POLL_TIMEOUT_S = 5.0
"""MLflow responds in 0.1 s, or in 1 s if it hashes passwords. A server that hangs occupies a thread this long."""
LISTING_TIMEOUT_S = 15.0
"""Per page of 10,000 versions."""
MAX_POLL_RESPONSE_BYTES = 8 * 1024**2
MAX_POLL_LISTING_BYTES = 64 * 1024**2
"""Lower than in a sync: the process that evaluates the sensors reads sixteen servers at once. A listing of 100,000
versions fits, since a poll keeps only digests."""


def fetch_newest_version_time(tenant: Tenant) -> int | None:
    """Return the newest update time of all versions in milliseconds; None if the server shows no version.

    Raises:
        HttpError: the server could not be read. There is no retry, because the next poll is one.
        SecretUnavailableError: a credential cannot be resolved.
    """
    with redacted_errors(EntityRedactor(tenant.redaction)):
        return newest_version_timestamp(_probe_settings(tenant, POLL_TIMEOUT_S))


def version_change_token(store: Store, tenant_id: str, newest: int | None) -> str | None:
    """Return a token for the newest version's time; None if the last complete listing had the same time."""
    with store.begin(tenant_id) as session:
        is_known, known_newest = tenancy.poll_watermark(session)
    return None if is_known and known_newest == newest else str(newest)


@dataclass(frozen=True, slots=True)
class RegistryFingerprints:
    """The fingerprints of all listed objects. They equal those that a sync would store."""

    models: Mapping[str, str]
    versions: Mapping[Key, str]
    has_all_models: bool
    has_all_versions: bool
    reported_parts: Mapping[Key, str]
    """Of a tenant with webhooks, a digest of what webhooks report of each version."""


def fetch_fingerprints(tenant: Tenant) -> RegistryFingerprints:
    """List models and versions, redacted as in a sync, and return their fingerprints.

    Raises:
        HttpError: the server could not be read.
        SecretUnavailableError: a credential cannot be resolved.
    """
    redactor = EntityRedactor(tenant.redaction)
    aliases: dict[Key, list[str]] = {}
    reported: dict[Key, str] = {}

    def digest_model(listed: RegisteredModel) -> str | None:
        model = redactor.redact(listed)
        for alias, number in sorted(model.aliases.items()):
            aliases.setdefault((model.name, number), []).append(alias)
        return fingerprint(model) if fits_in_key(model.name) else None

    def digest_version(listed: ModelVersion) -> str | None:
        version = redactor.redact(listed)
        if not fits_in_key(version.model_name, version.run_id):
            return None
        with_aliases = _with_aliases(version, aliases)
        if tenant.webhooks:
            reported[version.model_name, version.version_number] = _digest((version.tags, with_aliases.aliases))
        return fingerprint(with_aliases)

    with redacted_errors(redactor):
        listings = digest_registry(_probe_settings(tenant, LISTING_TIMEOUT_S), digest_model, digest_version)
    return RegistryFingerprints(
        models={name: digest for name, digest in listings.models.rows if digest is not None},
        versions={key: digest for key, digest in listings.versions.rows if digest is not None},
        has_all_models=listings.models.is_complete,
        has_all_versions=listings.versions.is_complete,
        reported_parts=reported,
    )


def registry_change_token(store: Store, tenant_id: str, listed: RegistryFingerprints) -> str | None:
    """Return a token for the differences between the listings and the store; None if a sync would write nothing.

    Models that MLflow hides among the prompts are in no plain search, so they do not count as missing.
    """
    with store.begin(tenant_id) as session:
        models = registry.stored_models(session)
        versions = registry.stored_versions(session)
        hidden_models, hidden_versions = registry.hidden_from_search(session)
    differences = [
        *(("model", name, digest) for name, digest in listed.models.items() if _is_changed(models.get(name), digest)),
        *(
            ("version", *key, digest)
            for key, digest in listed.versions.items()
            if _is_changed(versions.get(key), digest)
        ),
    ]
    if listed.has_all_models:
        missing_models = {name for name, stored in models.items() if not stored.is_deleted} - listed.models.keys()
        differences += (("model", name, "") for name in missing_models - hidden_models)
    if listed.has_all_versions:
        missing_versions = {key for key, stored in versions.items() if not stored.is_deleted} - listed.versions.keys()
        differences += (("version", *key, "") for key in missing_versions - hidden_versions)
    return fingerprint(sorted(differences, key=repr))[:16] if differences else None


def has_unreported_change(store: Store, tenant_id: str, listed: RegistryFingerprints) -> bool:
    """Return whether the listings show a change that a webhook reports, and no hint of the tenant is pending.

    That is a new model or version, a tag of a version or an alias. MLflow has no webhook for all else.
    """
    with store.begin(tenant_id) as session:
        if change_hints.pending(session):
            return False
        models, versions = registry.stored_models(session), registry.stored_versions(session)
        if any(_is_new(models.get(name)) for name in listed.models):
            return True
        changed = [key for key, digest in listed.versions.items() if _is_changed(versions.get(key), digest)]
        if any(_is_new(versions.get(key)) for key in changed):
            return True
        stored = reported_parts(session, changed) if changed else {}
    return any(_digest(parts) != listed.reported_parts.get(key) for key, parts in stored.items())


def _digest(parts: ReportedParts) -> str:
    return fingerprint(parts)[:16]


def _is_changed(stored: StoredObject | None, digest: str) -> bool:
    return stored is None or stored.is_deleted or stored.fingerprint != digest


def _is_new(stored: StoredObject | None) -> bool:
    return stored is None or stored.is_deleted


def _with_aliases(version: ModelVersion, aliases: Mapping[Key, list[str]]) -> ListedVersion:
    return ListedVersion(version, aliases.get((version.model_name, version.version_number), []))


def _probe_settings(tenant: Tenant, timeout_s: float) -> ConnectionSettings:
    settings = connection_settings(tenant)
    limits = replace(
        settings.limits,
        connect_timeout_seconds=min(settings.limits.connect_timeout_seconds, CONNECT_TIMEOUT_S),
        probe_timeout_seconds=min(settings.limits.probe_timeout_seconds, timeout_s),
        request_timeout_seconds=min(settings.limits.request_timeout_seconds, timeout_s),
        token_timeout_seconds=min(settings.limits.token_timeout_seconds, timeout_s),
        max_response_bytes=min(settings.limits.max_response_bytes, MAX_POLL_RESPONSE_BYTES),
        max_listing_bytes=min(settings.limits.max_listing_bytes, MAX_POLL_LISTING_BYTES),
        max_attempts=1,
    )
    return replace(settings, limits=limits)
