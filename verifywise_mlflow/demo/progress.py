"""Shows what the demo is doing: a spinner on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

Tell = Callable[[str], None]
"""Takes a sentence about how a step is getting on."""


class Progress:
    """The steps of the demo, one line each with its time, and details while they last."""

    def __init__(self, console: Console) -> None:
        """Show the steps on this console."""
        self.console = console

    @contextmanager
    def step(self, title: str) -> Iterator[Tell]:
        """Show a step for as long as the block lasts."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(escape(title)) as status:
                yield lambda detail: status.update(f"{escape(title)} [dim]{escape(detail)}[/dim]")
        else:
            self.say(f"{title} ...")
            yield lambda detail: self.say(f"  {detail}")
        self.say(f"{title}: {time.monotonic() - began:.1f} s")

    def say(self, sentence: str) -> None:
        """Print a line as it is: names from a registry are no markup."""
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
