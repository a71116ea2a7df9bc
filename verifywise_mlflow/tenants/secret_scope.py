"""The secrets that a tenant's settings may refer to: a directory or a prefix of variables per tenant.

Without a scope, a section of ``tenants.yaml`` may refer to every variable and file that the process can read, including
the variables and files of other tenants. The operator sets the scope outside of ``tenants.yaml``, for all tenants at
once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from posixpath import normpath
from typing import Final

from pydantic import BaseModel

from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.secrets import SecretReference

SCOPE_VARIABLE: Final = "VERIFYWISE_SECRET_SCOPE"
"""The environment variable with the scope: patterns separated by commas."""

_PATTERN: Final = re.compile(r"file:/(?:[^{},]*/)?\{tenant\}/|env:(?:[A-Z_][A-Z0-9_]*_)?\{TENANT\}_")


def secret_scope() -> tuple[str, ...]:
    """Return the patterns in the environment variable; no patterns if the variable is not set or empty.

    Raises:
        TenantsFileError: a pattern does not separate tenants.
    """
    patterns = tuple(filter(None, (part.strip() for part in os.environ.get(SCOPE_VARIABLE, "").split(","))))
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise TenantsFileError(
                f"{SCOPE_VARIABLE}: {pattern!r} is not a scope: write file:/directory/{{tenant}}/ or env:{{TENANT}}_"
            )
    return patterns


def out_of_scope(tenants: Mapping[str, BaseModel], patterns: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each reference outside of its tenant's scope, with the tenant.

    If the scopes of several tenants contain a reference, the reference belongs to the longest scope: ``ACME_EU_TOKEN``
    is not in the scope of ``acme`` if there is a tenant ``acme_eu``. If two scopes are equally long, the reference
    belongs to both tenants.
    """
    scopes = {name: tuple(_scope(pattern, name) for pattern in patterns) for name in tenants}
    for name, tenant in tenants.items():
        for reference in secret_references(tenant):
            own, others = 0, 0
            for owner, prefixes in scopes.items():
                length = max((len(prefix) for prefix in prefixes if _is_within(reference, prefix)), default=0)
                own, others = (length, others) if owner == name else (own, max(others, length))
            if own == 0 or others > own:
                yield name, reference


def secret_references(value: object) -> Iterator[str]:
    """Yield all references to secrets within settings."""
    if isinstance(value, SecretReference):
        yield value.root
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secret_references(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secret_references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secret_references(item)


def _scope(pattern: str, tenant: str) -> str:
    return pattern.replace("{tenant}", tenant).replace("{TENANT}", re.sub(r"[^A-Z0-9]", "_", tenant.upper()))


def _is_within(reference: str, prefix: str) -> bool:
    kind, _, name = reference.partition(":")
    return f"{kind}:{normpath(name) if kind == 'file' else name}".startswith(prefix)
