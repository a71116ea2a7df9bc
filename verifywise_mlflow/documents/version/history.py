"""The history of the version: badges, stages and aliases, and files that changed in place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from verifywise_mlflow.documents.blocks import Block, Cell, Paragraph, Section, limited_table, shorten, show_time
from verifywise_mlflow.documents.version.training import MAX_ROWS
from verifywise_mlflow.documents.version.wording import badge_cell
from verifywise_mlflow.services.version_dossier import VersionDossier


def history(dossier: VersionDossier) -> Section:
    """Return the recorded changes of the version over time."""
    return Section("what-happened", "What happened to this version", tuple(_blocks(dossier)))


def _blocks(dossier: VersionDossier) -> Iterator[Block]:
    yield Paragraph(
        "Times are those at which a change was first seen; the change happened between that time and the read before. "
        "Where MLflow recorded its own time, the row says so."
    )
    if dossier.integrity_events:
        yield limited_table(
            "Files that changed although the version did not",
            ("Seen at", "What changed"),
            (
                (Cell(show_time(seen_at)), Cell(shorten(event.change.sentence), tone="bad"))
                for event, seen_at in reversed(dossier.integrity_events)
            ),
            limit=MAX_ROWS,
            more="events.jsonl",
        )
    if dossier.lifecycle_events:
        yield limited_table(
            "Life of the version, the newest event first",
            ("Seen at", "Event"),
            (
                (Cell(show_time(recorded.seen_at)), Cell(shorten(recorded.event.sentence)))
                for recorded in reversed(dossier.lifecycle_events)
            ),
            limit=MAX_ROWS,
            more="events.jsonl",
        )
    if dossier.badges:
        yield limited_table(
            "Badges, the newest first",
            ("From", "Until", "Badge"),
            (
                (
                    Cell(show_time(badge.span.valid_from)),
                    Cell(_end(dossier, badge.span.valid_to)),
                    Cell(badge.badge, tone=badge_cell(badge.badge).tone),
                )
                for badge in reversed(dossier.badges)
            ),
            limit=MAX_ROWS,
            more="history.jsonl",
        )


def _end(dossier: VersionDossier, end: datetime | None) -> str:
    return show_time(end) if end and end <= dossier.as_of else "still so"
