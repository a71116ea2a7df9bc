"""The differences between a version and its predecessor, as a section of the version's page."""

from __future__ import annotations

from typing import Final

from verifywise_mlflow.documents.blocks import Block, Cell, Paragraph, Section, limited_table, shorten
from verifywise_mlflow.services.comparison import ComparedValue, Comparison

MAX_DIFFERENCES: Final = 100
_MAX_VALUE: Final = 200


def comparison_section(comparison: Comparison) -> Section:
    """Return the differences between two versions of a model: metrics, parameters, data sets, then other values."""
    former, latter = comparison.first.record.version_number, comparison.second.record.version_number
    differing = comparison.differing
    unknown = sum(value.differs is None for value in comparison.values)
    blocks: list[Block] = []
    if differing:
        blocks.append(
            limited_table(
                f"What differs between versions {former} and {latter}",
                ("What", f"Version {former}", f"Version {latter}", "Difference"),
                map(_row, differing),
                limit=MAX_DIFFERENCES,
                more="that the command compare writes",
            )
        )
    else:
        blocks.append(Paragraph(f"Nothing that is recorded differs between versions {former} and {latter}."))
    if unknown:
        blocks.append(Paragraph(f"Whether {unknown:,} files differ is unknown, since they were not hashed.", "warning"))
    return Section("comparison", f"What changed since version {former}", tuple(blocks))


def _row(value: ComparedValue) -> tuple[Cell, ...]:
    return (
        Cell(shorten(value.note or value.name, _MAX_VALUE), value.section),
        _side(value.first),
        _side(value.second),
        Cell(_difference(value)),
    )


def _side(text: str | None) -> Cell:
    return Cell("none", tone="quiet") if text is None else Cell(shorten(text, _MAX_VALUE))


def _difference(value: ComparedValue) -> str:
    if value.difference is None:
        return ""
    relative = f" ({value.relative_difference:+.1%})" if value.relative_difference is not None else ""
    return f"{value.difference:+.6g}{relative}"
