"""Prints lines that break between words only: a name or a time that is longer than the terminal stays whole."""

from __future__ import annotations

from rich.text import Text

from verifywise_mlflow.cli.output import out

_MIN_WIDTH = 20
"""Characters of a line in a terminal that is narrower than the indent."""


def print_whole(text: Text, indent: int = 0) -> None:
    """Print a line without breaking it, since half of a name is another name."""
    out.print(Text(" " * indent) + text, soft_wrap=True)


def print_indented(text: Text, indent: int) -> None:
    """Print a text in several lines if need be, each indented by a number of spaces."""
    wrapped = text.copy()
    wrapped.overflow = "ignore"  # as an argument, it would also mean not to wrap
    for line in wrapped.wrap(out, max(out.width - indent, _MIN_WIDTH)):
        line.rstrip()
        print_whole(line, indent)
