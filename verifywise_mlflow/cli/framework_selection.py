"""Selects frameworks by the names that people write."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.frameworks import Catalog, Framework


def select_frameworks(names: Collection[str], catalog: Catalog) -> Sequence[Framework]:
    """Return the frameworks with these names, ignoring case; without names, all frameworks of the catalog.

    Raises:
        UnresolvedNameError: the catalog has no framework with one of the names.
    """
    by_name = {name.casefold(): framework for name, framework in catalog.items()}
    for name in names:
        if name.casefold() not in by_name:
            sentence = (
                f"there is no framework {quote(name)}; the frameworks are {', '.join(catalog)}. A framework that was "
                "added to tenants.yaml appears with the tenant's next sync"
            )
            raise unknown_name(sentence, name, catalog)
    wanted = {name.casefold() for name in names} or set(by_name)
    return [framework for name, framework in by_name.items() if name in wanted]
