"""Polls a tenant's server for changes with a few requests, to decide whether a sync is worthwhile. Writes nothing.

A poll compares the response with what the last sync stored. So a change that any sync has stored no longer counts,
regardless of what triggered that sync. A token identifies a change, so that the same change triggers only one sync.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Set
from dataclasses import dataclass, replace
from typing import TypeVar

from verifywise_mlflow.connector.change_probes import (
    Digest,
    Digests,
    NewestUpdates,
    digest_registry,
    newest_updates,
)
from verifywise_mlflow.connector.models import ModelVersion, Prompt, PromptVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.registry_search import version_key
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.queries.reported_parts import ReportedParts, reported_parts
from verifywise_mlflow.persistence.repositories import change_hints, prompts, registry, tenancy
from verifywise_mlflow.persistence.repositories.change_hints import REGISTRY
from verifywise_mlflow.persistence.repositories.prompts import ListedPromptVersion
from verifywise_mlflow.persistence.repositories.registry import ListedVersion, StoredObject
from verifywise_mlflow.persistence.row_mapping import Key, fits_in_key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.errors import redacted_errors
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant

K = TypeVar("K", bound=Hashable)

CONNECT_TIMEOUT_S = 3.0
POLL_TIMEOUT_S = 5.0
"""How long a poll waits for a response. MLflow responds in 0.1 s, or in 1 s if it hashes passwords. A server that hangs
occupies a thread for this long."""
LISTING_TIMEOUT_S = 15.0
"""How long a poll waits for a page of 10,000 versions."""
MAX_POLL_RESPONSE_BYTES = 8 * 1024**2
MAX_POLL_LISTING_BYTES = 64 * 1024**2
"""The maximum memory of a listing. The limit is lower than in a sync, since the process that evaluates the sensors
reads sixteen servers at once. A listing of 100,000 versions stays below the limit, since a poll keeps only digests."""


def has_prompts(store: Store, tenant_id: str) -> bool:
    """Return whether the last listing showed prompts, so that a poll looks for their updates."""
    with store.begin(tenant_id) as session:
        return prompts.newest_update(session) is not None


def fetch_newest_updates(tenant: Tenant, with_prompts: bool) -> NewestUpdates:
    """Return when the versions and, if ``with_prompts``, the prompts were last updated.

    Raises:
        HttpError: the server could not be read. There is no retry here: the next poll is the retry.
        SecretUnavailableError: a credential cannot be resolved.
    """
    with redacted_errors(EntityRedactor(tenant.redaction)):
        return newest_updates(_probe_settings(tenant, POLL_TIMEOUT_S), with_prompts=with_prompts)


def update_change_token(store: Store, tenant_id: str, newest: NewestUpdates) -> str | None:
    """Return a token for the newest updates; None if the last complete listing had the same updates."""
    with store.begin(tenant_id) as session:
        is_known, known_version = tenancy.poll_watermark(session)
        known_prompt = prompts.newest_update(session) if newest.prompt is not None else None
    tokens = [] if is_known and known_version == newest.version else [str(newest.version)]
    if newest.prompt != known_prompt:
        tokens.append(f"prompt {newest.prompt}")
    return ", ".join(tokens) or None


@dataclass(frozen=True, slots=True)
class RegistryFingerprints:
    """The fingerprints of all listed objects, equal to the fingerprints that a sync stores."""

    models: Mapping[str, str]
    """The fingerprints of models, including models that the prompt tag hides."""
    versions: Mapping[Key, str]
    prompts: Mapping[str, str]
    prompt_versions: Mapping[Key, str]
    complete: frozenset[str]
    """The names of the fields whose listings are complete."""
    reported_parts: Mapping[Key, str]
    """A digest of each version's tags and aliases, whose changes webhooks report. Empty without webhooks."""


def fetch_fingerprints(tenant: Tenant) -> RegistryFingerprints:
    """List models, versions and prompts, redacted as in a sync, and return their fingerprints.

    Raises:
        HttpError: the server could not be read.
        SecretUnavailableError: a credential cannot be resolved.
    """
    redactor = EntityRedactor(tenant.redaction)
    aliases: dict[Key, list[str]] = {}
    prompt_aliases: dict[Key, list[str]] = {}
    reported: dict[Key, str] = {}

    def digest_model(listed: RegisteredModel) -> str | None:
        model = redactor.redact(listed)
        _collect(aliases, model)
        return fingerprint(model) if fits_in_key(model.name) else None

    def digest_version(listed: ModelVersion) -> str | None:
        version = redactor.redact(listed)
        if not fits_in_key(version.model_name, version.run_id):
            return None
        key = version_key(version)
        with_aliases = ListedVersion(version, aliases.get(key, []))
        if tenant.webhooks:
            reported[key] = _digest((version.tags, with_aliases.aliases))
        return fingerprint(with_aliases)

    def digest_prompt(listed: Prompt) -> str | None:
        prompt = redactor.redact(listed)
        _collect(prompt_aliases, prompt)
        return fingerprint(prompt) if fits_in_key(prompt.name) else None

    def digest_prompt_version(listed: PromptVersion) -> str | None:
        version = redactor.redact(listed)
        key = version.prompt_name, version.version_number
        with_aliases = ListedPromptVersion(version, prompt_aliases.get(key, []))
        return fingerprint(with_aliases) if fits_in_key(version.prompt_name) else None

    digests = Digests(digest_model, digest_version, digest_prompt, digest_prompt_version)
    with redacted_errors(redactor):
        listings = digest_registry(_probe_settings(tenant, LISTING_TIMEOUT_S), digests)
    is_complete = {
        "models": listings.models.is_complete,
        "versions": listings.versions.is_complete,
        "prompts": listings.prompts.is_complete,
        "prompt_versions": listings.prompt_versions.is_complete,
    }
    return RegistryFingerprints(
        models=_digested(listings.models) | _digested(listings.hidden_models),
        versions=_digested(listings.versions),
        prompts=_digested(listings.prompts),
        prompt_versions=_digested(listings.prompt_versions),
        complete=frozenset(field for field, is_true in is_complete.items() if is_true),
        reported_parts=reported,
    )


def registry_change_token(store: Store, tenant_id: str, listed: RegistryFingerprints) -> str | None:
    """Return a token for the differences between the listings and the store; None if a sync would write nothing.

    Models that MLflow hides among the prompts do not count as missing, since a plain search never returns them.
    """
    with store.begin(tenant_id) as session:
        models, versions = registry.stored_models(session), registry.stored_versions(session)
        hidden_models, hidden_versions = registry.hidden_from_search(session)
        stored_prompts = prompts.known_prompts(session).by_name
        prompt_versions = prompts.stored_versions(session) if stored_prompts else {}
    differences = [
        *_differences("models", models, listed.models, listed.complete, hidden_models),
        *_differences("versions", versions, listed.versions, listed.complete, hidden_versions),
        *_differences("prompts", stored_prompts, listed.prompts, listed.complete),
        *_differences("prompt_versions", prompt_versions, listed.prompt_versions, listed.complete),
    ]
    return fingerprint(sorted(differences, key=repr))[:16] if differences else None


def _differences(
    field: str,
    stored: Mapping[K, StoredObject],
    listed: Mapping[K, str],
    complete: Collection[str],
    hidden: Set[K] = frozenset(),
) -> list[tuple[str, K, str]]:
    """Return the objects whose listed and stored fingerprints differ, and the objects that are no longer listed."""
    differences = [(field, key, digest) for key, digest in listed.items() if _is_changed(stored.get(key), digest)]
    if field in complete:
        living = {key for key, row in stored.items() if not row.is_deleted}
        differences += [(field, key, "") for key in living - listed.keys() - hidden]
    return differences


def unreported_creation(store: Store, tenant_id: str, newest: NewestUpdates) -> Collection[str]:
    """Return the model of the newest version if a webhook should have reported its creation and no hint is pending."""
    if newest.created is None:
        return ()
    name, _number = newest.created
    with store.begin(tenant_id) as session:
        is_new = _is_new(registry.stored_versions(session, [newest.created]).get(newest.created))
        return _without_hints(session, {name} if is_new else set())


def unreported_models(store: Store, tenant_id: str, listed: RegistryFingerprints) -> Collection[str]:
    """Return the models that have a change of a kind that webhooks report, but no pending hint.

    These kinds are new models, new versions, tags of versions, and aliases. MLflow has no webhook for other changes.
    While a model is missing, a new model may be the missing model under another name.
    """
    with store.begin(tenant_id) as session:
        models, versions = registry.stored_models(session), registry.stored_versions(session)
        new_models = {name for name in listed.models if _is_new(models.get(name))}
        may_be_renamed = any(not row.is_deleted and name not in listed.models for name, row in models.items())
        changed = [
            key
            for key, digest in listed.versions.items()
            if key[0] not in new_models and _is_changed(versions.get(key), digest)
        ]
        created = {name for name, number in changed if _is_new(versions.get((name, number)))}
        stored = reported_parts(session, changed) if changed else {}
        altered = {key[0] for key, parts in stored.items() if _digest(parts) != listed.reported_parts.get(key)}
        return _without_hints(session, created | altered | (set() if may_be_renamed else new_models))


def _without_hints(session: TenantSession, models: Set[str]) -> Collection[str]:
    pending = {hint.object for hint in change_hints.pending(session)} if models else set()
    return () if REGISTRY in pending else models - {item.name for item in pending}


def _digest(parts: ReportedParts) -> str:
    return fingerprint(parts)[:16]


def _is_changed(stored: StoredObject | None, digest: str) -> bool:
    return stored is None or stored.is_deleted or stored.fingerprint != digest


def _is_new(stored: StoredObject | None) -> bool:
    return stored is None or stored.is_deleted


def _collect(aliases: dict[Key, list[str]], model: RegisteredModel | Prompt) -> None:
    for alias, number in sorted(model.aliases.items()):
        aliases.setdefault((model.name, number), []).append(alias)


def _digested(listing: Listing[Digest[K]]) -> dict[K, str]:
    return {key: digest for key, digest in listing.rows if digest is not None}


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
