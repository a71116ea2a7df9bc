"""Validators that the sections of ``tenants.yaml`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict


class ConfigSection(BaseModel):
    """A section of ``tenants.yaml``: immutable, without unknown keys, and never quoted in errors."""

    # A section is validated only as a part of a tenant. Building a validator for each section takes 0.04 s per start.
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)


def http_uri(uri: str, example: str, *, server_kind: str = "server", section: str = "auth", query: bool = False) -> str:
    """Return an http(s) URI without credentials. Credentials have a section of their own.

    Raises:
        ValueError: the URI is invalid, or has credentials, a fragment or an unwanted query. The message does not repeat
            the URI, because the URI may contain a secret.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:  # its message quotes a part of the URI, which may be a part of a password
        raise ValueError(f"this is not an address: write the {server_kind}'s address, for example {example}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"this is not an http(s) address: write the {server_kind}'s address, for example {example}")
    if parts.username or parts.password:
        raise ValueError(f"the URI contains credentials: remove them from the URI and name them under {section}")
    if (parts.query and not query) or parts.fragment:
        raise ValueError("the URI has a query or a fragment: remove everything after ? or #")
    return uri


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("the path is relative: write an absolute path, because the process may start in any folder")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
