"""A trail as lines: each entry is the very text that was hashed, and a checkpoint follows the entry it speaks of.

``tools/verify_audit_export.py`` verifies it, without a database and without any of this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from verifywise_mlflow.audit.chain import Link
from verifywise_mlflow.audit.verification import Placed


def lines(links: Iterable[Link], checkpoints: Iterable[Placed]) -> Iterator[str]:
    """Return the lines of an export. Both come by rising sequence; checkpoints of what is not there come last."""
    waiting = iter(checkpoints)
    due = next(waiting, None)
    for link in links:
        yield link.text
        while due and due.sequence <= link.sequence:
            yield due.checkpoint.as_line()
            due = next(waiting, None)
    while due:
        yield due.checkpoint.as_line()
        due = next(waiting, None)
