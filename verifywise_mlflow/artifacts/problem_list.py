"""The problems of one listing or one environment. Only the first problems are reported one by one.

This module imports nothing: each start of a sandbox worker imports it, and its imports would cost CPU time.
"""

from __future__ import annotations

MAX_PROBLEMS = 20
"""The maximum number of problems that are reported one by one; a hostile listing may contain a million problems."""


def truncate_problems(problems: list[str]) -> tuple[str, ...]:
    """Return the first ``MAX_PROBLEMS`` problems and the number of the remaining problems."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    return (*problems[:MAX_PROBLEMS], f"{len(problems) - MAX_PROBLEMS} more problems")
