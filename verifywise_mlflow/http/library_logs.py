"""Removes URLs' queries and servers' texts from urllib3's logs: a query may be a signature that grants access.

urllib3 warns with the whole URL, for example if the headers of a response are malformed. Applications that configure
logging, Dagster among them, write such warnings to their logs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.response",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
_WITHHOLD_URLS: ContextVar[bool] = ContextVar("withhold_urls", default=False)
_QUERY = re.compile(r"\?[^\s'\"]*")


class _WithoutQueries(logging.Filter):
    """A filter that rewrites each record and drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            safe = _withheld if _WITHHOLD_URLS.get() else _safe
            record.args = tuple(safe(argument) for argument in record.args)
        record.exc_info = record.exc_text = None
        return True


def _safe(argument: object) -> object:
    if isinstance(argument, int | float):
        return argument
    if isinstance(argument, BaseException):
        return type(argument).__name__  # its text may repeat the server's text
    return _QUERY.sub("?…", str(argument))


def _withheld(argument: object) -> object:
    return argument if isinstance(argument, int | float) else "…"


@contextmanager
def withhold_urls() -> Iterator[None]:
    """While the block runs, withhold possible parts of URLs from the libraries' logs: the path may be a secret."""
    token = _WITHHOLD_URLS.set(True)
    try:
        yield
    finally:
        _WITHHOLD_URLS.reset(token)


def remove_queries_from_library_logs() -> None:
    """Install the filter. Repeating it has no effect."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(existing, _WithoutQueries) for existing in logger.filters):
            logger.addFilter(_WithoutQueries())
