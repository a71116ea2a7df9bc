"""Creates texts that VerifyWise accepts and displays without markup.

Most text fields of VerifyWise hold 255 characters; it responds with 500 to a longer text. It shows texts on pages and
quotes them in mails. So in customers' texts, control characters are escaped, and angle brackets, with which HTML
begins, are replaced.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from verifywise_mlflow.common.untrusted_text import escape_invisible

MAX_FIELD_CHARACTERS: Final = 255
MAX_TEXT_CHARACTERS: Final = 8_000
"""The maximum length of fields that have no other limit."""
CUT: Final = " […]"
"""The mark at the end of a text that was cut."""
_BRACKETS: Final = str.maketrans("<>", "‹›")  # these look like brackets, but are not markup in HTML


def plain(text: str) -> str:
    """Return a text on one line, without markup."""
    return escape_invisible(text).translate(_BRACKETS)


def cut(text: str, max_characters: int = MAX_FIELD_CHARACTERS) -> str:
    """Return a text that is short enough. A text that was cut ends with ``CUT``."""
    return text if len(text) <= max_characters else text[: max_characters - len(CUT)] + CUT


def field_text(text: str | None) -> str:
    """Return a text of a customer for a field of 255 characters; empty if there is no text."""
    return cut(plain(text)) if text else ""


def slug(text: str, max_characters: int) -> str:
    """Return the ASCII letters and digits of a text, joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:max_characters].strip("-")


def external_key(tenant_id: str, model_name: str, version_number: int, incarnation: int) -> str:
    """Return the key of an inventory entry. The entry is found again by this key.

    The key is the idempotency key: it is unique in releases with ``external_key``; in earlier releases, the field
    ``provider_model`` holds it. If a version is deleted and created again, it gets another key.
    """
    identity = "\x1f".join((tenant_id, model_name, str(version_number), str(incarnation)))
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"mlflow-{slug(f'{tenant_id} {model_name} v{version_number}', 80)}-{digest}"
