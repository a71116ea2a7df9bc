"""Generate the table of docs/how-to/export-to-a-warehouse.md from the layouts of the exported tables.

``python -m verifywise_mlflow_tests.exports.warehouse.warehouse_page`` writes it into the page.
"""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.exports.warehouse.layout import LAYOUTS
from verifywise_mlflow_tests.support.documentation import write_generated_part

PAGE = "how-to/export-to-a-warehouse.md"


def tables() -> Iterator[str]:
    """Yield a row for each table."""
    yield "| table | rows | key |"
    yield "|---|---|---|"
    for layout in LAYOUTS:
        yield f"| `{layout.name}` | {layout.description} | {', '.join(f'`{name}`' for name in layout.key)} |"


if __name__ == "__main__":
    write_generated_part(PAGE, "tables", tables())
