"""What may stand in ``tenants.yaml`` where a server's address or a file's path is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def server_uri(uri: str, example: str, *, what: str = "server", section: str = "auth", query: bool = False) -> str:
    """Return an http(s) address that holds no credentials; they have a section of their own.

    Raises:
        ValueError: it is none. The message does not repeat it.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"write the {what}'s address, e.g. {example}")
    if parts.username or parts.password:
        raise ValueError(f"take the credentials out of the URI and name them under {section}")
    if (parts.query and not query) or parts.fragment:
        raise ValueError("leave out what follows ? or #")
    _ = parts.port  # raises ValueError for a port that is none
    return uri


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("write an absolute path: the process may start anywhere")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
