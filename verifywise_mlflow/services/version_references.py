"""Resolves the words by which people refer to a version, and explains names that the store does not know.

A reference is the version's number, an alias (``champion``, ``@champion``), or a lifecycle stage that only one version
of the model has (``production``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.unresolved_names import (
    MAX_CANDIDATES,
    NotRecordedYetError,
    UnresolvedNameError,
    unknown_name,
)
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.record import NORMAL_FORMS
from verifywise_mlflow.persistence.queries.history import verdict_states_of
from verifywise_mlflow.persistence.queries.known_names import (
    NamedVersion,
    is_recorded,
    named_versions,
    recorded_model_names,
    recorded_version_numbers,
    visible_tenants,
)
from verifywise_mlflow.persistence.queries.records_begin import records_begin
from verifywise_mlflow.persistence.role_grants import is_known_tenant
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession

MAX_LISTED: Final = 10
"""The maximum number of versions that an error lists."""
_MAX_DIGITS: Final = 9


def resolve_version(session: TenantSession, model_name: str, reference: str, at: datetime | None = None) -> int:
    """Return the number of the version that a reference means, now or at a given time.

    A number is returned without a query. An alias with exactly this spelling takes precedence over an alias in another
    case.

    Raises:
        UnresolvedNameError: no version, or more than one, has that alias or stage; or the model is not known.
        NotRecordedYetError: the time is before the tenant's first record.
    """
    if reference.isascii() and reference.isdecimal() and len(reference) <= _MAX_DIGITS:
        return int(reference)
    versions = named_versions(session, model_name, at or datetime.now(UTC))
    alias = reference.removeprefix("@")
    by_alias = _with_alias(versions, alias)
    by_stage = [] if reference.startswith("@") else _in_stage(versions, alias)
    if len(by_alias) == 1 and by_stage in ([], by_alias):
        return by_alias[0]
    if by_alias and by_stage:
        raise UnresolvedNameError(
            f"{quote(reference)} is the alias of {_listed(by_alias)} of {quote(model_name)} and the stage of "
            f"{_listed(by_stage)}: write @{alias} for the alias, or a number"
        )
    numbers = by_alias or by_stage
    if len(numbers) == 1:
        return numbers[0]
    if numbers:
        raise UnresolvedNameError(
            f"{quote(reference)} means {_listed(numbers)} of {quote(model_name)}: write one of the numbers"
        )
    unknown = _unknown_reference(session, model_name, reference, versions, at)
    begin = records_begin(session)
    if at is not None and begin is not None and at < begin:
        raise NotRecordedYetError(
            f"there is no record of {quote(model_name)} of the tenant {quote(session.tenant_id)} as of {utc_text(at)}; "
            f"nothing was recorded before {utc_text(begin)}"
        )
    raise unknown


def require_recorded(session: TenantSession, key: Key) -> None:
    """Raise unless the store has a record of the version, now or from before it was deleted.

    Raises:
        UnresolvedNameError: the tenant, the model or the version is not known.
    """
    if not is_recorded(session, key):
        raise _unknown_reference(session, key[0], str(key[1]))


def require_known_tenant(session: TenantSession) -> None:
    """Raise unless the store knows the tenant.

    Raises:
        UnresolvedNameError: the name is misspelled, or the role may not see the tenant.
    """
    if not is_known_tenant(session.connection, session.tenant_id):
        names = visible_tenants(session, MAX_CANDIDATES)
        raise unknown_name(
            f"the database has no tenant {quote(session.tenant_id)}, or the role in use may not read it; "
            f"the tenants that it may read are: {_enumerated(names) or 'none'}",
            session.tenant_id,
            names,
        )


def require_known_model(session: TenantSession, model_name: str) -> None:
    """Raise unless the store knows the model.

    Raises:
        UnresolvedNameError: the tenant or the model is not known.
    """
    if not recorded_version_numbers(session, model_name, 1):
        names = recorded_model_names(session, MAX_CANDIDATES)
        if not names:
            require_known_tenant(session)
        raise unknown_name(
            f"there is no record of a model {quote(model_name)} of the tenant {quote(session.tenant_id)}",
            model_name,
            names,
        )


def require_known(session: TenantSession, model_name: str | None) -> None:
    """Raise unless the store knows the tenant and, if one is named, the model.

    Raises:
        UnresolvedNameError: the tenant or the model is not known.
    """
    if model_name is None:
        require_known_tenant(session)
    else:
        require_known_model(session, model_name)


def require_known_rule(session: TenantSession, key: Key, rule_id: str) -> None:
    """Raise unless the rule has ever given a verdict on the version.

    Raises:
        UnresolvedNameError: the rule never gave a verdict on the version, although other rules did.
    """
    rule_ids = {state.rule_id for state in verdict_states_of(session, key)}
    if rule_ids and rule_id not in rule_ids:
        model_name, number = key
        sentence = f"no rule {quote(rule_id)} was evaluated on {quote(model_name)} version {number}"
        raise unknown_name(sentence, rule_id, sorted(rule_ids))


def _unknown_reference(
    session: TenantSession,
    model_name: str,
    reference: str,
    versions: Sequence[NamedVersion] = (),
    at: datetime | None = None,
) -> UnresolvedNameError:
    require_known_model(session, model_name)
    aliases = sorted({alias for version in versions for alias in version.aliases})
    numbers = recorded_version_numbers(session, model_name, MAX_LISTED)
    missing = f"version {reference}" if reference.isdecimal() else f"version or alias {quote(reference)}"
    when = f" as of {utc_text(at)}" if at else ""
    sentence = (
        f"there is no {missing} of {quote(model_name)} of the tenant {quote(session.tenant_id)}{when}; its "
        f"{'newest ' if len(numbers) == MAX_LISTED else ''}versions are {', '.join(map(str, numbers))}"
    )
    if aliases:
        sentence += f", with the alias{'es' if len(aliases) > 1 else ''} {_enumerated(aliases)}"
    if stages := sorted({version.lifecycle_stage for version in versions if version.lifecycle_stage}):
        sentence += f", in the stage{'s' if len(stages) > 1 else ''} {_enumerated(stages)}"
    return unknown_name(sentence, reference.removeprefix("@"), aliases)


def _enumerated(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(quote, names[:MAX_LISTED])) + more


def _with_alias(versions: Iterable[NamedVersion], alias: str) -> list[int]:
    exact = [version.version_number for version in versions if alias in version.aliases]
    return exact or [
        version.version_number
        for version in versions
        if alias.casefold() in (given.casefold() for given in version.aliases)
    ]


def _in_stage(versions: Iterable[NamedVersion], word: str) -> list[int]:
    stage = word.casefold()
    is_stage = stage in NORMAL_FORMS["lifecycle_stage"]
    return [version.version_number for version in versions if is_stage and version.lifecycle_stage == stage]


def _listed(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:MAX_LISTED]))
    more = f" and {len(numbers) - MAX_LISTED} more" if len(numbers) > MAX_LISTED else ""
    return f"version{'s' if len(numbers) > 1 else ''} {listed}{more}"
