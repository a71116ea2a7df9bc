"""References to secrets. The configuration contains only references. A secret is read when it is used."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import ConfigDict, RootModel, field_validator

from verifywise_mlflow.tenants.errors import SecretUnavailableError

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\0]+")


class SecretReference(RootModel[str]):
    """``env:NAME`` or ``file:/absolute/path``."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @field_validator("root")
    @classmethod
    def _is_reference(cls, reference: str) -> str:
        # The message must not repeat the input: somebody may have pasted the secret itself.
        if not _REFERENCE.fullmatch(reference):
            raise ValueError("write a reference to the secret, env:NAME or file:/absolute/path, not the secret itself")
        return reference

    def resolve(self) -> str:
        """Return the secret. Line breaks at the end of a file are removed, because editors add them.

        Raises:
            SecretUnavailableError: the variable is not set or empty, or the file is empty, not UTF-8 or cannot be read.
        """
        kind, _, name = self.root.partition(":")
        if kind == "env":
            secret = os.environ.get(name, "")
            if not secret:
                raise SecretUnavailableError(
                    f"the environment variable {name} (from {self.root}) is not set or empty: set it"
                )
            return secret
        try:
            secret = Path(name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise SecretUnavailableError(f"the secret file {name} cannot be read: {reason}") from None
        if not secret:
            raise SecretUnavailableError(f"the secret file {name} is empty: write the secret into it")
        return secret

    def __str__(self) -> str:
        return self.root
