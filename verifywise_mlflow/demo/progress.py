"""Progress of the demo: a spinner on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

ReportProgress = Callable[[str], None]
"""Called with one line of progress of a step."""


class Progress:
    """Prints one line with the duration of each step, and its details while it runs."""

    def __init__(self, console: Console) -> None:
        """Print to this console."""
        self.console = console

    @contextmanager
    def step(self, title: str) -> Iterator[ReportProgress]:
        """Show a step while the block runs."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(escape(title)) as status:
                yield lambda detail: status.update(f"{escape(title)} [dim]{escape(detail)}[/dim]")
        else:
            self.say(f"{title} ...")
            yield lambda detail: self.say(f"  {detail}")
        self.say(f"{title}: {time.monotonic() - began:.1f} s")

    def say(self, sentence: str) -> None:
        """Print a line without interpreting markup: it may hold names from a registry."""
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
