"""Errors of tenants.yaml and of secret references, in a module of their own, so that handlers import nothing else."""

from __future__ import annotations


class TenantsFileError(ValueError):
    """tenants.yaml cannot be used. The message names the tenant, the field and the remedy, one line per problem."""


class SecretUnavailableError(LookupError):
    """A secret reference cannot be resolved. The message names the reference, which is not itself a secret."""
