"""Reads cells of verdicts, in which the owner of the database may have written any text."""

from __future__ import annotations

from datetime import date

from verifywise_mlflow.persistence.pg_text_codec import Stored, loads


def json_or_none(cell: str) -> Stored:
    """Return the value of a cell with JSON; None if the cell is not JSON."""
    try:
        return loads(cell)
    except (ValueError, RecursionError):
        return None


def day_or_none(cell: str) -> date | None:
    """Return the day of a cell; None if the cell is empty or not a day."""
    try:
        return date.fromisoformat(cell)
    except ValueError:
        return None
