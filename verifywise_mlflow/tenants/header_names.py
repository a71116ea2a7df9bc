"""Checks the names of the extra headers that a section of ``tenants.yaml`` adds to our requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

FRAMING_HEADERS: Final = frozenset(
    (
        *("cookie", "origin", "user-agent"),
        *("host", "connection", "upgrade", "te", "trailer", "transfer-encoding", "expect"),
        *("content-length", "content-type", "content-encoding", "accept-encoding"),
    )
)
"""Headers that may not be added, in lower case. Most of them concern framing and encoding: the client sets these
headers itself, and a second value could contradict the first value."""


def check_header_names(names: Iterable[str], *, reserved: frozenset[str], instead: str) -> None:
    """Check the names of extra headers.

    Args:
        names: The names.
        reserved: Other names that must not be added, in lower case.
        instead: What to do instead, for the error.

    Raises:
        ValueError: HTTP does not allow a name, a name is reserved, or two names differ only in case.
    """
    names = list(names)
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(
                "a header's name contains characters that HTTP does not allow: write letters, digits and dashes"
            )
        if name.lower() in reserved:
            raise ValueError(f"{name} is set by the client itself: {instead}")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("two headers differ only in upper and lower case: remove one")
