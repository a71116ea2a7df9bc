"""Prints lines that break between words only: a name or a time longer than the line stays whole."""

from __future__ import annotations

from rich.text import Text

from verifywise_mlflow.cli.output import out

_MIN_WIDTH = 20
"""The minimum number of characters of a line without its indent, even if the terminal is narrower."""


def print_whole(text: Text, indent: int = 0) -> None:
    """Print a line without breaking it, since half of a name would look like another name."""
    out.print(Text(" " * indent) + text, soft_wrap=True)


def print_indented(text: Text, indent: int) -> None:
    """Print a text, in several lines if necessary, each indented by a number of spaces."""
    wrapped = text.copy()
    wrapped.overflow = "ignore"  # passed as an argument, this value would also prevent wrapping
    for line in wrapped.wrap(out, max(out.width - indent, _MIN_WIDTH)):
        line.rstrip()
        print_whole(line, indent)
