"""The width of the terminal that commands print to in this process."""

from __future__ import annotations

import pytest

from verifywise_mlflow.cli.output import out


def set_terminal_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Set the width for one test.

    The variable ``COLUMNS`` has no effect here: Rich keeps the value from the time at which the process imported the
    commands. The property ``width`` is unsuitable, too: pytest would restore its former value by setting the property,
    and the width would be fixed for all later tests.
    """
    monkeypatch.setattr(out, "_width", columns)
