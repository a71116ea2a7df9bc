"""Checks field values as the database behind VerifyWise does: late, and with the database's messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from verifywise_mlflow.demo.servers.verifywise_server.messages import RefusedError

MAX_VARCHAR = 255


def check_lengths(content: Mapping[str, object], names: Collection[str], *, status: int) -> None:
    """Refuse a text of more than 255 characters.

    Args:
        content: The fields.
        names: The columns of that length.
        status: The status of such an error: 500 for a model, 400 for a risk.
    """
    for name in names:
        value = content.get(name)
        if isinstance(value, str) and len(value) > MAX_VARCHAR:
            raise RefusedError(status, f"value too long for type character varying({MAX_VARCHAR})")


def check_choice(content: Mapping[str, object], name: str, choices: Collection[str], *, status: int) -> None:
    """Refuse a value that does not belong to an enumeration."""
    value = content.get(name)
    if value is not None and value not in choices:
        raise RefusedError(status, f'invalid input value for enum enum_{name}: "{value}"')


def integers(value: object) -> list[int]:
    """Return the ids in a list; an empty list if there is none."""
    return [item for item in value if isinstance(item, int)] if isinstance(value, list) else []
