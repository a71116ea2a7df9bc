"""An alert, and how it reads."""

from __future__ import annotations

import unicodedata
from datetime import UTC
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

AlertKind = Literal["sync failed", "tenant late", "integrity event", "audit trail damaged", "audit trails not verified"]
AlertState = Literal["raised", "resolved"]

_LONGEST = 600
"""Characters of a sentence; Dagster's pages and the audit trail have all of it."""


class Alert(BaseModel):
    """Something has become wrong, or well again."""

    model_config = ConfigDict(frozen=True)

    kind: AlertKind
    tenant_id: str | None
    """None where it is about all tenants."""
    state: AlertState
    sentence: str
    at: AwareDatetime

    def line(self) -> str:
        """Return it as one line in which nothing of what others wrote can act: no line end, no control character."""
        of = f" {self.tenant_id}" if self.tenant_id else ""
        return inert(f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z {self.kind}{of} {self.state}: {self.sentence}")


def inert(written: str) -> str:
    """Return a text, not too long, with control, bidirectional and other unseen characters written as escapes."""
    short = written if len(written) <= _LONGEST else f"{written[:_LONGEST]}…"
    return "".join(one if one == " " or _is_seen(one) else _escaped(one) for one in short)


def _is_seen(character: str) -> bool:
    return character.isprintable() and unicodedata.category(character) != "Cf"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
