"""What ``compare --json`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.compliance.badge import BADGE_WORDS
from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.comparison import ComparedValue, Comparison
from verifywise_mlflow.services.version_dossier import VersionDossier


@value_object
class ComparedVersion:
    """One of the two versions."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    version_number: int
    """The version's number in MLflow."""
    lifecycle_stage: str | None
    """production, staging, development or archived; null if nothing states it."""
    aliases: tuple[str, ...]
    """The aliases that point to it, sorted."""
    badge: Annotated[str | None, Field(description=f"{BADGE_WORDS}; null before the first evaluation.")]
    open_gaps: int
    """Gaps that no waiver covers."""
    gone_at: datetime | None
    """The time since which MLflow no longer has the version, UTC; null while the version exists."""


class CompareDocument(JsonDocument):
    """Two versions of a model side by side."""

    NAME: ClassVar[str] = "comparison"

    at: datetime
    """When the versions were read from the database, UTC."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    model_name: str
    """The registered model, as MLflow names it."""
    first: ComparedVersion
    """The version that was named first."""
    second: ComparedVersion
    """The version that was named second."""
    values: tuple[ComparedValue, ...]
    """All values that at least one of the versions has, by section and name. Equal values are included."""


def compare_document(comparison: Comparison) -> CompareDocument:
    """Return a comparison in the printed form."""
    first, second = comparison.first, comparison.second
    return CompareDocument(
        at=first.as_of,
        tenant=first.tenant_id,
        model_name=first.key[0],
        first=_version(first),
        second=_version(second),
        values=comparison.values,
    )


def _version(known: VersionDossier) -> ComparedVersion:
    aliases = known.record.aliases
    return ComparedVersion(
        version_number=known.key[1],
        lifecycle_stage=known.record.lifecycle_stage,
        aliases=tuple(map(str, aliases)) if isinstance(aliases, Sequence) and not isinstance(aliases, str) else (),
        badge=known.badge.badge if known.badge else None,
        open_gaps=len(known.open_gaps),
        gone_at=known.state.deleted_at,
    )
