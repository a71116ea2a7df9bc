"""The lifecycle stage that a version's aliases stand for.

MLflow's own stage, of which a version has one, goes before its aliases, and those before a tag of the version or its
run. That order is data: ``precedence`` in mapping.yaml.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.normalizer.findings import quoted
from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.mapping.mapping_index import Vocabulary
from verifywise_mlflow.normalizer.mapping.precedence import Declaration
from verifywise_mlflow.normalizer.mapping.value_sources import Place
from verifywise_mlflow.normalizer.record import Origin
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

_RANK = {stage: rank for rank, stage in enumerate(NORMAL_FORMS["lifecycle_stage"])}
"""With several aliases on one version, the stage with the most responsibility counts: production before staging
before development before archived."""


def aliases_of(inputs: RecordInputs) -> tuple[str, ...]:
    """Return the aliases that point to the version, sorted."""
    if inputs.model is None:
        return ()
    number = inputs.version.version_number
    return tuple(sorted(alias for alias, version in inputs.model.aliases.items() if version == number))


def declared_by_aliases(inputs: RecordInputs, vocabulary: Vocabulary) -> list[Declaration]:
    """Return the stages that the version's aliases stand for, the one that counts first.

    An alias may be any word; one that stands for no stage says nothing, and is no finding.
    """
    staged = [(vocabulary.stage(alias), alias) for alias in aliases_of(inputs)]
    declarations = [Declaration(stage, Origin("alias", alias, alias)) for stage, alias in staged if stage]
    return sorted(declarations, key=lambda declaration: _RANK[declaration.value])


_TOLD = 10
"""Of the declarations, those that the rule names; a version may have any number of aliases."""


def shown_rule(places: Sequence[Place], declarations: Sequence[Declaration]) -> str | None:
    """Return why the first of several declarations is the version's stage, in a sentence; None where there is one.

    Args:
        places: the precedence of ``lifecycle_stage``.
        declarations: what was said of the stage, the one that counts first.
    """
    if len(declarations) < 2:
        return None
    said = [f"{one.origin.source} {quoted(one.origin.key)} says {one.value}" for one in declarations[:_TOLD]]
    if len(declarations) > _TOLD:
        said.append(f"{len(declarations) - _TOLD} more say something")
    aliases = {one.value for one in declarations if one.origin.source == "alias"}
    among = f"; of aliases, {' before '.join(_RANK)}" if len(aliases) > 1 else ""
    return f"{', '.join(said)}: the first counts, in the order {', '.join(map(str, places))}{among}"
