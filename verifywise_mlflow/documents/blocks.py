"""The parts of a document: sections with paragraphs, lists and tables. One document has several renderings.

Texts are as customers wrote them: renderers escape them, so that nothing in them acts as markup. The builders of blocks
limit the length of texts with ``shorten``, and the length of tables with ``limited_table``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import ClassVar, Final, Literal, TypeAlias

Tone: TypeAlias = Literal["good", "bad", "warning", "quiet"]
"""How a word is colored. The word itself has the same meaning as its color: no meaning depends on a color alone."""
Form: TypeAlias = Literal["text", "code"]

MAX_TEXT_LENGTH: Final = 600
"""The maximum length, in characters, of a text from MLflow in a document; the JSON files have the whole text."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text."""

    text: str
    note: str = ""
    """The source or meaning of the text, shown smaller below it."""
    tone: Tone | None = None
    form: Form = "text"
    """``code`` is for a hash, path or name, which is shown without any change."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    kind: ClassVar[Literal["paragraph"]] = "paragraph"
    text: str
    tone: Tone | None = None


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of short texts."""

    kind: ClassVar[Literal["bullets"]] = "bullets"
    entries: tuple[Cell, ...]


Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column heads its rows."""

    kind: ClassVar[Literal["table"]] = "table"
    caption: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    remark: str = ""
    """A sentence that states how many rows the table leaves out, and which file has these rows."""


Block: TypeAlias = Paragraph | Bullets | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what is under it."""

    anchor: str
    """The name of the section in links: lower-case letters and hyphens."""
    heading: str
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A complete document."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    as_of: datetime
    """The time of the state that the document shows. No document states when it was written: equal states give equal
    bytes."""


def limited_table(
    caption: str, headings: tuple[str, ...], rows: Iterable[Row], *, limit: int, more: str = "record.json"
) -> Table:
    """Return a table of at most ``limit`` rows, with a remark that the file ``more`` has the rows that are left out."""
    all_rows = tuple(rows)
    left_out = len(all_rows) - limit
    remark = f"{left_out:,} of {len(all_rows):,} rows are left out here. The file {more} has all of them."
    return Table(caption, headings, all_rows[:limit], remark if left_out > 0 else "")


def shorten(text: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Return a text. If the text is too long, return its beginning and its length."""
    return text if len(text) <= max_length else f"{text[:max_length]}… ({len(text):,} characters)"


def show_time(time: datetime | None) -> str:
    """Return a time to the minute, in UTC."""
    return "not recorded" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def show_day(time: datetime | date | None) -> str:
    """Return the day of a time, in UTC."""
    if time is None:
        return "not recorded"
    return f"{time.astimezone(UTC):%Y-%m-%d}" if isinstance(time, datetime) else time.isoformat()
