"""What ends the demo with a sentence instead of a trace."""


class DemoError(RuntimeError):
    """The demo cannot go on. The message says why, and what to do."""


class ProcessFailedError(DemoError):
    """A child did not start, or died. The message ends with the tail of its log."""


class DagsterApiError(DemoError):
    """Dagster did not answer, or not as it should."""
