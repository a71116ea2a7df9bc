"""Loads what later stages need while the first stage waits for the server: a quarter of a second of CPU time.

These are the stages' modules, the default mapping and the default policy. The listing of versions is requested first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from importlib import import_module

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.connector.read_ahead import in_background
from verifywise_mlflow.pipeline.context import Progress, StageContext


def load_stage(stage: Stage) -> Callable[[StageContext], Progress]:
    """Return a stage's function; import its module, unless that has been done."""
    refresh: Callable[[StageContext], Progress] = import_module(f"verifywise_mlflow.pipeline.stages.{stage}").refresh
    return refresh


def load_in_background(stages: Collection[Stage]) -> Future[None]:
    """Load, in a separate thread, what the stages need for every tenant. It is loaded once per process."""
    return in_background(lambda: _load(stages))


def compile_in_background() -> Future[None]:
    """Compile the default mapping and policy in a separate thread, for a sync that has records to build."""
    return in_background(_compile)


def _load(stages: Collection[Stage]) -> None:
    for stage in stages:
        load_stage(stage)
    if Stage.CANONICAL_RECORDS in stages:
        # Imported here, since the first stages do not need the mapping and the policy.
        from verifywise_mlflow.compliance.rules.policy import default_policy
        from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping

        default_mapping()
        default_policy()


def _compile() -> None:
    from verifywise_mlflow.compliance.rules.policy import default_policy
    from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
    from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping

    mapping_index(default_mapping())
    for rule in default_policy().rules:
        for expression in rule.expressions.values():
            _ = expression.closure
