"""Findings about aliases and statuses that may hide that a version is in use.

Rules about use apply to versions in production, and to versions whose deployment status states that they are at least
partly deployed. So an alias that cannot be interpreted and traffic without a stage are reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex
from verifywise_mlflow.normalizer.mapping.precedence import Resolution
from verifywise_mlflow.normalizer.record import STATUSES_IN_USE

PARTLY_DEPLOYED: Final = "partly_deployed"


def use_findings(
    aliases: Sequence[str], index: MappingIndex, stage: Resolution, deployment: Resolution
) -> Iterator[Finding]:
    """Yield the findings about a version's aliases and deployment status.

    Args:
        aliases: the aliases that point to the version.
        index: the tenant's mapping.
        stage: the lifecycle stage of the record.
        deployment: the deployment status of the version.
    """
    if stage.value != "production":
        for alias in aliases:
            if index.is_unknown_alias(alias):
                yield Finding(
                    "unknown alias",
                    "lifecycle_stage",
                    f"the alias {quote(alias)} stands for no known lifecycle stage, so it is unknown whether the "
                    "version is in use by it",
                )
    if deployment.origin is None or deployment.value not in STATUSES_IN_USE:
        return
    claim = f"{deployment.origin.source} {quote(deployment.origin.key)} says {quote(deployment.origin.raw or '')}"
    if stage.value is None:
        yield Finding(
            "use without stage", "deployment_status", f"{claim}, but no stage, alias or tag states the lifecycle stage"
        )
    if deployment.value == PARTLY_DEPLOYED:
        yield Finding(
            "partial traffic", "deployment_status", f"{claim}: the version has a part of the traffic, or a copy of it"
        )
