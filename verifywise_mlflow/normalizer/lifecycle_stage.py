"""The lifecycle stage of a version, from its aliases.

MLflow's own stage and each alias imply a stage. The stage with the most responsibility counts. MLflow deprecated stages
in 2.9: a registry that has moved to aliases keeps its old stages, and a transition with `archive_existing_versions` may
archive a champion that is still in use. If there is neither a stage nor an alias, a tag of the version or of its run
counts. ``precedence`` in mapping.yaml has this order.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex
from verifywise_mlflow.normalizer.mapping.precedence import Candidate
from verifywise_mlflow.normalizer.mapping.value_sources import ValueSource
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.record import NORMAL_FORMS
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

_RANK = {stage: rank for rank, stage in enumerate(NORMAL_FORMS["lifecycle_stage"])}
"""If the aliases of one version imply several stages, the stage with the most responsibility wins: production, then
staging, development and archived."""

_MAX_EXPLAINED_CANDIDATES = 10
"""The maximum number of candidates that the explanation names. A version may have any number of aliases."""


def version_aliases(inputs: RecordInputs) -> tuple[str, ...]:
    """Return the aliases that point to the version, sorted."""
    if inputs.model is None:
        return ()
    number = inputs.version.version_number
    return tuple(sorted(alias for alias, version in inputs.model.aliases.items() if version == number))


def alias_candidates(aliases: Sequence[str], index: MappingIndex) -> list[Candidate]:
    """Return the stages that the version's aliases imply. The winning stage is first.

    An alias may be any word. An alias that implies no stage is ignored here; ``use_findings`` reports it.
    """
    stages = [(index.stage_of_alias(alias), alias) for alias in aliases]
    candidates = [Candidate(stage, Origin("alias", alias, alias)) for stage, alias in stages if stage]
    return sorted(candidates, key=lambda candidate: _RANK[candidate.value])


def deployment_candidates(aliases: Sequence[str], index: MappingIndex) -> list[Candidate]:
    """Return the deployment statuses that the version's aliases state by themselves."""
    statuses = [(index.deployment_of_alias(alias), alias) for alias in aliases]
    return [Candidate(status, Origin("alias", alias, alias)) for status, alias in statuses if status]


def explain_precedence(sources: Sequence[ValueSource], candidates: Sequence[Candidate]) -> str | None:
    """Return one sentence on why the first of several candidates is the stage; None if there is only one candidate.

    Args:
        sources: the precedence of ``lifecycle_stage``.
        candidates: the candidates for the stage. The winning candidate is first.
    """
    if len(candidates) < 2:
        return None
    claims = [
        f"{candidate.origin.source} {quote(candidate.origin.key)} says {candidate.value}"
        for candidate in candidates[:_MAX_EXPLAINED_CANDIDATES]
    ]
    if len(candidates) > _MAX_EXPLAINED_CANDIDATES:
        claims.append(f"{len(candidates) - _MAX_EXPLAINED_CANDIDATES} more say something")
    ranked_sources = {"alias", *(member.source for source in sources for member in source.members)}
    ranked_stages = {candidate.value for candidate in candidates if candidate.origin.source in ranked_sources}
    ranks = f"; highest first: {', '.join(_RANK)}" if len(ranked_stages) > 1 else ""
    return f"{', '.join(claims)}: the first counts, in the order {', '.join(map(str, sources))}{ranks}"
