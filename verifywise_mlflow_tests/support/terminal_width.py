"""The width of the terminal that commands print to in this process."""

from __future__ import annotations

import pytest

from verifywise_mlflow.cli.output import out


def set_terminal_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Set the width for one test.

    ``COLUMNS`` would not do: Rich keeps the value that is set when a process imports the commands. Neither would the
    property ``width``: its former value would be restored as a width that was set, for all later tests.
    """
    monkeypatch.setattr(out, "_width", columns)
