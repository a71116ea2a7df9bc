"""Asks a tenant's server whether a sync would find something new, in a request or a few. Writes nothing.

What comes back is compared with what the last sync has left in the store, so whatever a sync has seen already, on
whose demand ever, is no news. News is told by a mark, so that the same news need not be told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from verifywise_mlflow.artifacts.location import parse_logged_model_id
from verifywise_mlflow.connector.change_probes import RegistryListings, list_registry, newest_version_timestamp
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import registry, tenancy
from verifywise_mlflow.persistence.repositories.registry import Known, ListedVersion
from verifywise_mlflow.persistence.row_mapping import Key, fits
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.errors import redacted_errors
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant

CONNECT_TIMEOUT_S = 3.0
POLL_TIMEOUT_S = 5.0
"""MLflow answers in a tenth of a second, or in one where it hashes passwords; who hangs holds a place for so long."""
LISTING_TIMEOUT_S = 15.0
"""For each page of 10,000 versions."""


def fetch_newest_version_time(tenant: Tenant) -> int | None:
    """Ask for the newest version's time in milliseconds; null where the server shows no version.

    Raises:
        HttpError: the server could not be read. The next poll is a try anyway, so there is only one.
        SecretUnavailableError: a credential's reference points to nothing.
    """
    with redacted_errors(EntityRedactor(tenant.redaction)):
        return newest_version_timestamp(_probe_settings(tenant, POLL_TIMEOUT_S))


def version_change_token(store: Store, tenant_id: str, newest: int | None) -> str | None:
    """Return a mark of the newest version's time, unless it is the one that the last complete listing had."""
    with store.begin(tenant_id) as session:
        is_noted, noted = tenancy.newest_version_time(session)
    return None if is_noted and noted == newest else str(newest)


@dataclass(frozen=True, slots=True)
class RegistryFingerprints:
    """What both listings showed: of each object, only its fingerprint. A sync would make the same ones."""

    models: Mapping[str, str]
    versions: Mapping[Key, str]
    shows_all_models: bool
    shows_all_versions: bool


def fetch_fingerprints(tenant: Tenant) -> RegistryFingerprints:
    """Read both listings, minimised as a sync would, since what a sync keeps is what they are compared with.

    Raises:
        HttpError: the server could not be read.
        SecretUnavailableError: a credential's reference points to nothing.
    """
    minimiser = EntityRedactor(tenant.redaction)
    with redacted_errors(minimiser):
        shown = list_registry(_probe_settings(tenant, LISTING_TIMEOUT_S))
    return _fingerprints(
        RegistryListings(
            Listing(tuple(map(minimiser.registered_model, shown.models.rows)), shown.models.problems),
            Listing(tuple(map(minimiser.model_version, shown.versions.rows)), shown.versions.problems),
        )
    )


def registry_change_token(store: Store, tenant_id: str, listed: RegistryFingerprints) -> str | None:
    """Return a mark of where the listings and the store differ; null where a sync would find nothing to write.

    What hides among the prompts is in no plain search, so it is not missed here.
    """
    with store.begin(tenant_id) as session:
        models = registry.known_models(session)
        versions = registry.known_versions(session)
        hidden_models, hidden_versions = registry.hidden_from_search(session)
    differences = [
        *(("model", name, mark) for name, mark in listed.models.items() if _is_changed(models.get(name), mark)),
        *(("version", *key, mark) for key, mark in listed.versions.items() if _is_changed(versions.get(key), mark)),
    ]
    if listed.shows_all_models:
        missing = {name for name, known in models.items() if not known.is_gone} - listed.models.keys()
        differences += (("model", name, "") for name in missing - hidden_models)
    if listed.shows_all_versions:
        gone = {key for key, known in versions.items() if not known.is_gone} - listed.versions.keys()
        differences += (("version", *key, "") for key in gone - hidden_versions)
    return fingerprint(sorted(differences, key=repr))[:16] if differences else None


def _is_changed(known: Known | None, mark: str) -> bool:
    return known is None or known.is_gone or known.fingerprint != mark


def _fingerprints(shown: RegistryListings) -> RegistryFingerprints:
    aliases: dict[Key, list[str]] = {}
    for model in shown.models.rows:
        for alias, number in sorted(model.aliases.items()):
            aliases.setdefault((model.name, number), []).append(alias)
    return RegistryFingerprints(
        models={model.name: _mark(model) for model in shown.models.rows if fits(model.name)},
        versions={
            (version.model_name, version.version_number): _mark(_with_aliases(version, aliases))
            for version in shown.versions.rows
            if fits(version.model_name, version.run_id)
        },
        shows_all_models=shown.models.is_complete,
        shows_all_versions=shown.versions.is_complete,
    )


def _with_aliases(version: ModelVersion, aliases: Mapping[Key, list[str]]) -> ListedVersion:
    logged_model_id = parse_logged_model_id(version.source) if version.source else None
    return ListedVersion(version, aliases.get((version.model_name, version.version_number), []), logged_model_id)


def _mark(found: RegisteredModel | ListedVersion) -> str:
    return fingerprint(found)


def _probe_settings(tenant: Tenant, seconds: float) -> ConnectionSettings:
    settings = connection_settings(tenant)
    limits = replace(
        settings.limits,
        connect_timeout_seconds=min(settings.limits.connect_timeout_seconds, CONNECT_TIMEOUT_S),
        probe_timeout_seconds=min(settings.limits.probe_timeout_seconds, seconds),
        request_timeout_seconds=min(settings.limits.request_timeout_seconds, seconds),
        token_timeout_seconds=min(settings.limits.token_timeout_seconds, seconds),
        max_attempts=1,
    )
    return replace(settings, limits=limits)
