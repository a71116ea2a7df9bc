"""Makes file names from names that customers chose."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

_PLAIN: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_MAX_CHARACTERS: Final = 60


def file_stem(name: str) -> str:
    """Return a file name without an extension. It is safe on every system, and differs for each name.

    A short name of lower-case letters, digits and single separators stays unchanged. Any other name is simplified and
    gets a part of its hash: two simplified names may be equal, and some systems ignore case.
    """
    if _PLAIN.fullmatch(name) and len(name) <= _MAX_CHARACTERS:
        return name
    legible = re.sub(r"[^a-z0-9]+", "-", name[:_MAX_CHARACTERS].casefold()).strip("-") or "name"
    return f"{legible}--{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
