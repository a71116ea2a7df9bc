"""What strangers wrote, fit to be shown."""

from __future__ import annotations

MAX_SHOWN = 200


def shown(text: str) -> str:
    """``text`` without control characters, and with an ellipsis where it is long."""
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return printable if len(printable) <= MAX_SHOWN else printable[:MAX_SHOWN] + "…"
