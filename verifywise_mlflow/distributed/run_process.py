"""Executes a run in a process that is forked for it and ends with it.

Celery can replace a process after each task (``worker_max_tasks_per_child``), but then stalls: a process that has ended
its last task sleeps for a second, and a run that arrives meanwhile waits for two to six seconds. So the processes of
Celery's pool stay. They execute no run themselves: they fork a process for each run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

from celery.platforms import set_pdeathsig

_LOG: Final = logging.getLogger(__name__)


def run_in_fork(work: Callable[[], None]) -> int:
    """Do work in a forked process; return its exit code, or the negative number of the signal that ended it."""
    parent, process = os.getpid(), os.fork()
    if process:
        _process, status = os.waitpid(process, 0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        set_pdeathsig("SIGKILL")  # as for each process of the pool: no run outlives its worker
        if os.getppid() == parent:
            work()
            code = 0
    except BaseException:  # noqa: BLE001  # it ends here in any case, and its parent reports the code
        _LOG.exception("the process of a run failed")
    finally:
        os._exit(code)  # without the exit handlers of the parent process
