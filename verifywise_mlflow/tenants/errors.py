"""Errors of tenants.yaml and of secret references, in a module of their own, so that handlers import nothing else."""

from __future__ import annotations


class TenantsFileError(ValueError):
    """tenants.yaml or a variable about it cannot be used. The message has one line per problem, with the correction."""


class SecretUnavailableError(LookupError):
    """A secret cannot be used. The message names the reference or setting, never the secret itself."""
