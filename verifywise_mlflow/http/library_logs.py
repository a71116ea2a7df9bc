"""Removes URLs' queries and servers' texts from what urllib3 logs: a query may be a signature that grants access.

urllib3 warns with the whole URL, for example if the headers of a response are malformed. Applications that configure
logging, Dagster among them, write such warnings to their logs.
"""

from __future__ import annotations

import logging
import re

_LOGGERS = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.response",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
_QUERY = re.compile(r"\?[^\s'\"]*")


class _WithoutQueries(logging.Filter):
    """Rewrites each record; drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_safe(argument) for argument in record.args)
        record.exc_info = record.exc_text = None
        return True


def _safe(argument: object) -> object:
    if isinstance(argument, int | float):
        return argument
    if isinstance(argument, BaseException):
        return type(argument).__name__  # its text may repeat the server's
    return _QUERY.sub("?…", str(argument))


def remove_queries_from_library_logs() -> None:
    """Install the filter. Repeating it has no effect."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(existing, _WithoutQueries) for existing in logger.filters):
            logger.addFilter(_WithoutQueries())
