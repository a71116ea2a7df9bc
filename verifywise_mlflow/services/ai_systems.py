"""AI systems: which models belong together, what MLflow shows of them, and what people declare about them.

A model belongs to one system. A declaration that names the model decides which system. Without such a declaration, a
tag decides: the mapping reads it into the record's field ``ai_system``. Declarations stay separate from what MLflow
shows. If a declaration and MLflow differ, the difference is a ``Contradiction``, and neither of the two values is
replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, islice
from typing import Final, Literal

from pydantic import ValidationError

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.compliance.ai_systems import MAX_NAME_CHARACTERS, DeclaredSystem, stored_declarations
from verifywise_mlflow.compliance.badge import Badge, EvaluatedVersion, ModelBadge, model_badge, worst_badge
from verifywise_mlflow.compliance.rules.rule import UNKNOWN_SEVERITY, Severity
from verifywise_mlflow.normalizer.mapping.key_folding import fold
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.queries.coverage import current_policies
from verifywise_mlflow.persistence.queries.system_versions import (
    ARCHIVED,
    SystemVersion,
    open_gap_counts,
    system_tags,
    system_versions,
)
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.session import TenantSession

Assigned = Literal["declared", "tag"]
Subject = Literal["risk category", "membership"]
MAX_LISTED_VERSIONS: Final = 10
"""The maximum number of versions that a sentence lists by their numbers."""
MAX_LISTED_TEXTS: Final = 10
"""The maximum number of contradictions that are reported between one declaration and the tags of one model. Each text
that contradicts the declaration gets a sentence."""
MAX_EXCERPT: Final = 120
"""The maximum number of characters that a sentence quotes from a tag."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """What a tenant declares about its systems."""

    systems: tuple[DeclaredSystem, ...] = ()
    """The declared systems, in the order of the file. If two systems name the same model, the first system counts."""

    def naming(self, model_name: str) -> list[DeclaredSystem]:
        """Return the systems whose declaration names a model."""
        return [system for system in self.systems if system.includes(model_name)]

    def of(self, model_name: str, tag: str | None) -> DeclaredSystem | None:
        """Return the declaration of a model's system, found by the model's name, otherwise by the model's tag."""
        by_name = next(iter(self.naming(model_name)), None)
        if by_name is not None or tag is None:
            return by_name
        return next((system for system in self.systems if system.has_name(tag)), None)

    def system_name(self, model_name: str, tag: str | None) -> str | None:
        """Return the name of the system that a model belongs to; None if it belongs to no system.

        A long tag is ignored: it describes a use case instead of naming a system.
        """
        declared = self.of(model_name, tag)
        if declared is not None:
            return declared.name
        return tag if tag and len(tag) <= MAX_NAME_CHARACTERS and fold(tag) else None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A difference between a declaration and MLflow, between two declarations, or between two tags in MLflow."""

    subject: Subject
    sentence: str
    model_name: str
    version_numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemModel:
    """A model of a system."""

    model_name: str
    assigned_by: Assigned
    versions: tuple[SystemVersion, ...]
    """The living versions, newest first."""
    gaps: Mapping[str, int]
    """The number of gaps of the living versions that no waiver covers, by the rule's severity."""

    @property
    def in_use(self) -> tuple[SystemVersion, ...]:
        """The versions in use, newest first."""
        return tuple(version for version in self.versions if version.is_in_use)

    @property
    def badge(self) -> ModelBadge | None:
        """The badge of the model; None without a version."""
        return model_badge(
            [
                EvaluatedVersion(
                    version.version_number, version.lifecycle_stage, version.deployment_status, version.badge
                )
                for version in self.versions
            ]
        )


@dataclass(frozen=True, slots=True)
class AiSystem:
    """A system with its models and its declaration."""

    name: str
    declared: DeclaredSystem | None
    """None if only tags name the system."""
    models: tuple[SystemModel, ...]
    contradictions: tuple[Contradiction, ...]
    patterns_without_model: tuple[str, ...]
    """Declared names and patterns that match no model."""

    @property
    def badge(self) -> Badge | None:
        """The worst badge of the system's models; None without a model."""
        badges = {of_model.badge for model in self.models if (of_model := model.badge)}
        return worst_badge(badges) if badges else None

    @property
    def gaps(self) -> Mapping[str, int]:
        """The number of the models' gaps that no waiver covers, by the rule's severity, the most severe first."""
        total: Counter[str] = Counter()
        for model in self.models:
            total.update(model.gaps)
        return {severity: total[severity] for severity in (*reversed(Severity), UNKNOWN_SEVERITY) if total[severity]}

    @property
    def shown_risk_categories(self) -> Mapping[str | None, int]:
        """The risk categories that MLflow shows, each with its number of versions. Archived versions are left out."""
        return Counter(version.risk_category for model in self.models for version in _current(model.versions))

    def is_review_overdue(self, today: date) -> bool:
        """Return whether the declared day of the next review has passed."""
        return self.declared is not None and self.declared.is_review_overdue(today)


@dataclass(frozen=True, slots=True)
class AiSystems:
    """All systems of a tenant."""

    systems: tuple[AiSystem, ...]
    """Sorted by name."""
    models_without_system: tuple[str, ...]
    """Models with a living version that no declaration and no tag assigns."""

    def named(self, name: str) -> AiSystem | None:
        """Return the system with a name, regardless of case and separators."""
        return next((system for system in self.systems if fold(system.name) == fold(name)), None)


@dataclass(frozen=True, slots=True)
class RecordedDeclaration:
    """A declaration of a system, and the sync that found it.

    The declaration is None if the sync found that the declaration was removed.
    """

    declared: DeclaredSystem | None
    recorded_at: datetime
    sync_id: str


def declarations(session: TenantSession, at: datetime | None = None) -> Declarations:
    """Return the tenant's declarations about its systems, as recorded now or at a given time.

    Raises:
        DatabaseError: another release stored the declarations in a form that this release cannot read.
    """
    version = config_versions.config_version(session, "ai systems", at=at)
    return Declarations(_read(version.document)) if version else Declarations()


def system_names(session: TenantSession) -> Mapping[str, str]:
    """Return the name of each model's system, by model. Models without a system or a living version are left out."""
    return _names(declarations(session), system_tags(session))


def ai_systems(session: TenantSession, at: datetime) -> AiSystems:
    """Return all systems of the tenant: the declared systems, and the systems that only tags name.

    Args:
        session: The tenant's transaction.
        at: The current time: waivers that have expired do not count.
    """
    declared = declarations(session)
    names = _names(declared, system_tags(session))
    by_model = {
        model: tuple(versions)
        for model, versions in groupby(system_versions(session), key=lambda version: version.model_name)
    }
    rules = current_policies(session).rules
    gaps = open_gap_counts(session, at)
    models: dict[str, list[SystemModel]] = {system.name: [] for system in declared.systems}
    for model, name in names.items():
        if model not in by_model:  # a sync has committed since the first query
            continue
        counts: Counter[str] = Counter()
        for rule_id, count in gaps.get(model, {}).items():
            counts[rules[rule_id].severity if rule_id in rules else UNKNOWN_SEVERITY] += count
        assigned_by: Assigned = "declared" if declared.naming(model) else "tag"
        models.setdefault(name, []).append(SystemModel(model, assigned_by, by_model[model], counts))
    by_name = {system.name: system for system in declared.systems}
    systems = [
        AiSystem(
            name,
            by_name.get(name),
            tuple(its_models),
            tuple(_contradictions(name, its_models, declared)),
            tuple(by_name[name].patterns_without_model(by_model)) if name in by_name else (),
        )
        for name, its_models in models.items()
    ]
    return AiSystems(
        tuple(sorted(systems, key=lambda system: system.name.casefold())),
        tuple(model for model in by_model if model not in names),
    )


def declaration_history(session: TenantSession, name: str) -> list[RecordedDeclaration]:
    """Return the declarations of a system in the order in which syncs found them. A repetition is left out."""
    history: list[RecordedDeclaration] = []
    for version in config_versions.all_config_versions(session, "ai systems"):
        found = next((system for system in _read(version.document) if system.has_name(name)), None)
        if found != (history[-1].declared if history else None):
            history.append(RecordedDeclaration(found, version.valid_from, version.sync_id))
    return history


def _read(document: Mapping[str, object]) -> tuple[DeclaredSystem, ...]:
    try:
        return stored_declarations(document)
    except ValidationError as error:
        raise DatabaseError(
            "another release stored the tenant's AI systems in a form that this one cannot read: sync the tenant"
        ) from error


def _names(declared: Declarations, tags: Mapping[str, str | None]) -> dict[str, str]:
    """Return the system of each model. If tags spell a system in several ways, the first model's spelling counts."""
    spellings: dict[str, str] = {}
    names = {}
    for model, tag in tags.items():
        name = declared.system_name(model, tag)
        if name is not None:
            names[model] = spellings.setdefault(fold(name), name)
    return names


def _current(versions: Iterable[SystemVersion]) -> list[SystemVersion]:
    return [version for version in versions if version.lifecycle_stage != ARCHIVED]


def _contradictions(name: str, models: Sequence[SystemModel], declared: Declarations) -> Iterable[Contradiction]:
    for model in models:
        yield from _membership(name, model, declared)
        yield from _risk(model, declared.of(model.model_name, name))


def _membership(name: str, model: SystemModel, declared: Declarations) -> Iterable[Contradiction]:
    others = [system.name for system in declared.naming(model.model_name) if system.name != name]
    shown_model, shown_name = excerpt(model.model_name, MAX_EXCERPT), excerpt(name, MAX_EXCERPT)
    if others:
        sentence = f"the declaration of {', '.join(others)} names {shown_model} as well; the first one counts"
        yield Contradiction("membership", sentence, model.model_name)
    source = "the declaration" if model.assigned_by == "declared" else "the version that counts"
    yield from _per_text(
        "membership",
        model,
        lambda version: version.system_name if fold(version.system_name or name) != fold(name) else None,
        lambda versions, other: f"{source} assigns {shown_model} to {shown_name}; the tags of {versions} name {other}",
    )


def _risk(model: SystemModel, declared: DeclaredSystem | None) -> Iterable[Contradiction]:
    if declared is None or declared.risk is None:
        return
    category = declared.risk.category
    shown_model = excerpt(model.model_name, MAX_EXCERPT)
    yield from _per_text(
        "risk category",
        model,
        lambda version: version.risk_category if version.risk_category != category else None,
        lambda versions, other: (
            f"the risk category is declared as {category}; in MLflow, it is {other} for {versions} of {shown_model}"
        ),
    )


def _per_text(
    subject: Subject,
    model: SystemModel,
    differing: Callable[[SystemVersion], str | None],
    sentence: Callable[[str, str], str],
) -> Iterable[Contradiction]:
    """Yield a contradiction for each differing text of versions that are not archived, up to ``MAX_LISTED_TEXTS``."""
    numbers_by_text: dict[str, list[int]] = {}
    for version in _current(model.versions):
        if text := differing(version):
            numbers_by_text.setdefault(text, []).append(version.version_number)
    for text, numbers in islice(numbers_by_text.items(), MAX_LISTED_TEXTS):
        yield Contradiction(
            subject, sentence(_listed(numbers), excerpt(text, MAX_EXCERPT)), model.model_name, tuple(numbers)
        )
    if (more := len(numbers_by_text) - MAX_LISTED_TEXTS) > 0:
        yield Contradiction(
            subject, f"{more:,} more texts differ for {excerpt(model.model_name, MAX_EXCERPT)}", model.model_name
        )


def _listed(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:MAX_LISTED_VERSIONS]))
    more = f" and {len(numbers) - MAX_LISTED_VERSIONS} more" if len(numbers) > MAX_LISTED_VERSIONS else ""
    return f"version{'s' if len(numbers) > 1 else ''} {listed}{more}"
