"""Real registries contain no secret, and the redaction reports none in them.

The registries are not part of this repository: the test runs only if ``../shared/registries`` exists.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.redaction.text_redactor import TextRedactor

REGISTRIES = Path(__file__).parents[3] / "shared" / "registries"

pytestmark = pytest.mark.skipif(not REGISTRIES.is_dir(), reason="no ../shared/registries next to this checkout")


def texts_in(registry: Path) -> Iterator[tuple[str, str]]:
    """Yield keys and values: rows of SQLite under their columns or keys, files of a file store under their names."""
    for database in registry.rglob("*.db"):
        connection = sqlite3.connect(f"file:{database}?immutable=1", uri=True)
        connection.row_factory = sqlite3.Row
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                values = {column: row[column] for column in row.keys()}  # noqa: SIM118  # a row iterates over its values
                for column, value in values.items():
                    if isinstance(value, str):
                        yield str(values.get("key", column)) if column == "value" else column, value
        connection.close()
    for file in registry.rglob("*"):
        if file.is_file() and file.suffix not in (".db", ".pkl"):
            yield file.name, file.read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize("name", ["regression-gates", "missing-run", "iris-logged-models"])
def test_nothing_is_redacted_in_a_real_registry(name: str) -> None:
    redactor = TextRedactor(RedactionSettings())
    texts = list(texts_in(REGISTRIES / name))

    redacted = [(key, value) for key, value in texts if redactor.redact(redactor.scope(key), value)]

    assert len(texts) > 30
    assert redacted == []
