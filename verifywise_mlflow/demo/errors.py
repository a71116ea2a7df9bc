"""Errors that end the demo with a sentence instead of a traceback."""


class DemoError(RuntimeError):
    """The demo cannot continue. The message says why, and what to do."""


class ProcessFailedError(DemoError):
    """A child process did not start, or died. The message ends with the tail of its log."""


class DagsterApiError(DemoError):
    """Dagster did not respond, or its response was not as expected."""
