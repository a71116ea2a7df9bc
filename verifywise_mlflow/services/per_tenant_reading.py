"""Reads the same data of several tenants, each in its own transaction, so that row-level security applies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from verifywise_mlflow.common.unresolved_names import UnresolvedNameError
from verifywise_mlflow.persistence.repositories.tenancy import active_tenants
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_references import require_known_tenant

R = TypeVar("R")


def readable_tenants(store: Store, names: Collection[str] = ()) -> list[str]:
    """Return the named tenants; without names, the active tenants that the database role may see, sorted.

    Raises:
        UnresolvedNameError: the database has no such tenant, or the role may not see it.
    """
    if not names:
        with store.begin_shared() as connection:
            return sorted(active_tenants(connection))
    for name in names:
        with store.begin(name) as session:
            require_known_tenant(session)
    return list(dict.fromkeys(names))


def read_each(store: Store, tenant_ids: Iterable[str], read: Callable[[TenantSession], Iterable[R]]) -> Iterator[R]:
    """Yield the data of each tenant, in the given order.

    Raises:
        UnresolvedNameError: a filter names an object that none of the tenants has.
    """
    errors: list[UnresolvedNameError] = []
    has_read = False
    for tenant_id in tenant_ids:
        with store.begin_snapshot(tenant_id) as session:
            try:
                yield from read(session)
                has_read = True
            except UnresolvedNameError as error:
                errors.append(error)
    if errors and not has_read:
        raise errors[0]
