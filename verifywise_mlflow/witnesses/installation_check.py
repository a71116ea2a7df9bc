"""The check of the witnesses that ``verifywise-mlflow doctor`` makes. Nothing is sent."""

from __future__ import annotations

import os
from typing import Final

from verifywise_mlflow.common.settings_file import InvalidSettingsFileError
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow.services.installation.finding import Finding
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.secret_scope import secret_references
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.witnesses.settings import WITNESSES_FILE_VARIABLE, load_witnesses

_SUBJECT: Final = "witnesses"


def check_witnesses() -> Finding:
    """Load the file of the witnesses and resolve each reference to a secret."""
    try:
        witnesses = load_witnesses()
        for reference in secret_references(witnesses):
            SecretReference(reference).resolve()
    except (InvalidSettingsFileError, SecretUnavailableError) as error:
        return Finding(_SUBJECT, "problem", str(error))
    if witnesses:
        return Finding(_SUBJECT, "ok", f"{len(witnesses)} configured")
    detail = f"{WITNESSES_FILE_VARIABLE} is not set: the owner of the database can delete checkpoints"
    return Finding(_SUBJECT, "warning" if os.environ.get(SIGNING_KEY_VARIABLE) else "skipped", detail)
