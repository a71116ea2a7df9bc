"""Jobs for workers. One job leaves secrets wherever a process keeps state, and searches for secrets of earlier runs.

This job reads the whole memory of its process, so the search also covers places that nobody thought of.
"""

import os
import re
import secrets
import time
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import dagster as dg

from verifywise_mlflow.normalizer.mapping import tag_mapping

_FORM = re.compile(rb"PLANTED-[0-9a-f]{32}")
"""The pattern of a secret, which does not match its own text."""
_variable: ContextVar[str] = ContextVar("planted", default="")
FOUND_BEFORE, FOUND_AFTER, PROCESS = "test/found_before", "test/found_after", "test/process"


@cache
def _remember(secret: str) -> str:
    return secret


def count_secrets() -> int:
    """Return how many secrets are in this process's memory."""
    count = 0
    with Path("/proc/self/maps").open() as maps, Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for line in maps.read().splitlines():
            span, access = line.split()[:2]
            if access[:2] == "rw":
                start, end = (int(number, 16) for number in span.split("-"))
                memory.seek(start)
                count += len(_FORM.findall(memory.read(end - start)))
    return count


@dg.op
def plant(context: dg.OpExecutionContext) -> None:
    """Search for secrets, plant secrets, search again."""
    before = count_secrets()
    secret = f"PLANTED-{secrets.token_hex(16)}"
    os.environ["MLFLOW_TRACKING_TOKEN"] = secret
    _variable.set(secret)
    _remember(secret)
    tag_mapping.__dict__["_left_by_a_tenant"] = secret
    tags = {FOUND_BEFORE: str(before), FOUND_AFTER: str(count_secrets()), PROCESS: str(os.getpid())}
    context.instance.add_run_tags(context.run_id, tags)


@dg.job(executor_def=dg.in_process_executor)
def planting() -> None:
    """Execute ``plant``."""
    plant()


@dg.op
def wait() -> None:
    """Wait for longer than any test."""
    time.sleep(600)


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    """Execute ``wait``."""
    wait()
