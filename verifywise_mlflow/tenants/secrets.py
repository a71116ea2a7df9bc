"""References to secrets. The configuration holds only these; the secret is read at the moment of use."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import ConfigDict, RootModel, field_validator

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+", re.DOTALL)


class SecretUnavailableError(LookupError):
    """A reference points to nothing. The message names the reference, which is no secret itself."""


class SecretReference(RootModel[str]):
    """``env:NAME`` or ``file:/absolute/path``."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @field_validator("root")
    @classmethod
    def _is_reference(cls, reference: str) -> str:
        # The message must not repeat the input: it may be the very secret that does not belong here.
        if not _REFERENCE.fullmatch(reference):
            raise ValueError("write a reference to the secret, env:NAME or file:/absolute/path, not the secret itself")
        return reference

    def resolve(self) -> str:
        """Return the secret, without the line end that editors leave in files.

        Raises:
            SecretUnavailableError: the variable is not set or the file cannot be read.
        """
        kind, _, place = self.root.partition(":")
        if kind == "env":
            secret = os.environ.get(place, "")
            if not secret:
                raise SecretUnavailableError(f"the environment variable {place} (from {self.root}) is not set or empty")
            return secret
        try:
            secret = Path(place).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise SecretUnavailableError(f"the secret file {place} cannot be read: {reason}") from None
        if not secret:
            raise SecretUnavailableError(f"the secret file {place} is empty")
        return secret

    def __str__(self) -> str:
        return self.root
