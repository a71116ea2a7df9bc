"""Our own facets, for facts that the standard facets of OpenLineage cannot express. ``schemas/`` has their schemas."""

from __future__ import annotations

from typing import Final

import attr
from openlineage.client.facet_v2 import DatasetFacet, RunFacet

FACET_SCHEMA_PREFIX: Final = "tag:verifywise.ai,2026:mlflow/facets/"
"""A tag URI (RFC 4151) does not promise that a server has the schema. The package and the docs contain the schema."""


@attr.define
class GovernanceDatasetFacet(DatasetFacet):
    """The results of evaluating a model version."""

    tenant: str
    badge: str
    """The badge; waivers do not change it."""
    openGaps: int  # noqa: N815  # OpenLineage's style
    waivedGaps: int  # noqa: N815
    recordHash: str  # noqa: N815
    """SHA-256 of the canonical record."""
    recordRevision: int  # noqa: N815
    policyDigest: str  # noqa: N815
    evaluatedAt: str  # noqa: N815
    syncId: str  # noqa: N815
    """The sync that last changed the record, as in the audit trail."""
    lifecycleStage: str | None = None  # noqa: N815

    @staticmethod
    def _get_schema() -> str:
        return f"{FACET_SCHEMA_PREFIX}verifywise_governance.v1"


@attr.define
class MlflowDatasetFacet(DatasetFacet):
    """A data set as MLflow describes it."""

    name: str | None = None
    digest: str | None = None
    sourceType: str | None = None  # noqa: N815
    context: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{FACET_SCHEMA_PREFIX}verifywise_mlflowDataset.v1"


@attr.define
class MlflowRunFacet(RunFacet):
    """A training run as MLflow describes it."""

    runId: str  # noqa: N815
    experimentId: str | None = None  # noqa: N815
    experimentName: str | None = None  # noqa: N815
    status: str | None = None
    codeCommit: str | None = None  # noqa: N815
    entrypoint: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{FACET_SCHEMA_PREFIX}verifywise_mlflowRun.v1"
