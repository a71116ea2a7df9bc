"""What ``systems --json`` prints: all systems of a tenant, or one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar, Final

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.compliance.ai_systems import DeclaredSystem
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.ai_systems import MAX_EXCERPT, AiSystem, RecordedDeclaration, SystemModel

MAX_RISK_CATEGORIES: Final = 20


@value_object
class DeclaredFacts:
    """What a person states about a system. It is not evidence."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    purpose: str | None
    """The intended purpose as approved."""
    risk_category: str | None
    """The risk category as decided: prohibited, high, limited, medium, low or minimal."""
    risk_basis: str | None
    """Why it was decided."""
    risk_decided_by: str | None
    """Who decided it."""
    risk_decided_on: date | None
    """When it was decided."""
    roles: tuple[str, ...]
    """provider, deployer, importer or distributor: the roles of the organization for this system."""
    provider: str | None
    """Who develops the system or has it developed."""
    owner: str | None
    """Who answers for the system."""
    affected_persons: str | None
    """Whom the system's output is about."""
    last_review: date | None
    """The day of the last review."""
    next_review: date | None
    """The day by which the next review is due."""
    declared_by: str
    """Who states all this."""
    declared_on: date
    """When."""


@value_object
class SystemRow:
    """An AI system: what MLflow shows of its models, and what is declared about it."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    system: str
    """The system's name, as declared or else as a tag has it."""
    models: tuple[str, ...]
    """The registered models that belong to it. Empty: a declared system without a model in MLflow."""
    versions: int
    """Versions of these models that MLflow has."""
    versions_in_use: int
    """Those in production or staging, or deployed at least in part."""
    badge: str | None
    """The worst badge of its models; null without a model."""
    open_gaps: int
    """Gaps that no waiver covers."""
    critical: int
    """Those of critical severity."""
    high: int
    """Those of high severity."""
    medium: int
    """Those of medium severity."""
    low: int
    """Those of low severity."""
    risk_categories: tuple[str, ...]
    """The risk categories that tags state for versions that are not archived, sorted; at most 20, each cut after 120
    characters, since a tag may have any text."""
    declared: DeclaredFacts | None
    """What is declared about it; null if only tags name it."""
    is_review_overdue: bool
    """Whether the declared day of the next review has passed."""
    contradictions: tuple[str, ...]
    """Contradictions between a declaration and MLflow, two declarations, or two tags in MLflow."""
    patterns_without_model: tuple[str, ...]
    """Declared names and patterns that match no model."""


@value_object
class SystemModelRow:
    """A model of a system."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    model_name: str
    """The registered model, as MLflow names it."""
    assigned_by: str
    """declared or tag: what assigns it to the system."""
    badge: str | None
    """The badge of the model."""
    versions: int
    """Versions that MLflow has."""
    versions_in_use: tuple[int, ...]
    """Those in production or staging, or deployed at least in part, the newest first."""
    open_gaps: int
    """Gaps that no waiver covers."""


@value_object
class SystemDocumentRow:
    """A document about the system that is kept elsewhere. It was not opened."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    title: str
    """Its title."""
    location: str
    """Where to find it."""
    version: str | None
    """Its version."""
    dated: date | None
    """Its date."""
    clauses: tuple[str, ...]
    """The clauses that it is declared to cover, such as ``EU AI Act Annex IV(5)``."""


@value_object
class DeclarationRow:
    """A state of the declaration, from when a sync found it until the next one."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    recorded_at: datetime
    """When a sync found it, UTC."""
    sync_id: str
    """That sync, as in the audit trail."""
    declared: DeclaredFacts | None
    """What was declared; null if the declaration had been removed."""


class SystemsDocument(JsonDocument):
    """The AI systems of a tenant."""

    NAME: ClassVar[str] = "systems"

    at: datetime
    """When the data was read, UTC. Waivers and reviews are as of this time."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    systems: tuple[SystemRow, ...]
    """The systems, by name."""
    models_without_system: tuple[str, ...]
    """Models that no declaration and no tag assigns to a system."""


class SystemDocument(JsonDocument):
    """One AI system of a tenant."""

    NAME: ClassVar[str] = "system"

    at: datetime
    """When the data was read, UTC. Waivers and reviews are as of this time."""
    system: SystemRow
    """The system."""
    models: tuple[SystemModelRow, ...]
    """Its models, by name."""
    documents: tuple[SystemDocumentRow, ...]
    """Declared documents, as in the file."""
    history: tuple[DeclarationRow, ...]
    """What was declared over time, the oldest first."""


def declared_facts(declared: DeclaredSystem) -> DeclaredFacts:
    """Return what is declared, as it is printed."""
    risk = declared.risk
    return DeclaredFacts(
        purpose=declared.purpose,
        risk_category=risk.category if risk else None,
        risk_basis=risk.basis if risk else None,
        risk_decided_by=risk.decided_by if risk else None,
        risk_decided_on=risk.decided_on if risk else None,
        roles=declared.roles,
        provider=declared.provider,
        owner=declared.owner,
        affected_persons=declared.affected_persons,
        last_review=declared.last_review,
        next_review=declared.next_review,
        declared_by=declared.declared_by,
        declared_on=declared.declared_on,
    )


def system_row(tenant: str, system: AiSystem, today: date) -> SystemRow:
    """Return a system as it is printed."""
    gaps = system.gaps
    return SystemRow(
        tenant=tenant,
        system=system.name,
        models=tuple(model.model_name for model in system.models),
        versions=sum(len(model.versions) for model in system.models),
        versions_in_use=sum(len(model.in_use) for model in system.models),
        badge=system.badge,
        open_gaps=sum(gaps.values()),
        critical=gaps.get(Severity.CRITICAL, 0),
        high=gaps.get(Severity.HIGH, 0),
        medium=gaps.get(Severity.MEDIUM, 0),
        low=gaps.get(Severity.LOW, 0),
        risk_categories=tuple(
            sorted({excerpt(text, MAX_EXCERPT) for text in system.shown_risk_categories if text})[:MAX_RISK_CATEGORIES]
        ),
        declared=declared_facts(system.declared) if system.declared else None,
        is_review_overdue=system.is_review_overdue(today),
        contradictions=tuple(contradiction.sentence for contradiction in system.contradictions),
        patterns_without_model=system.patterns_without_model,
    )


def system_document(
    tenant: str, system: AiSystem, history: Sequence[RecordedDeclaration], at: datetime
) -> SystemDocument:
    """Return the document about one system."""
    return SystemDocument(
        at=at,
        system=system_row(tenant, system, at.date()),
        models=tuple(map(_model_row, system.models)),
        documents=tuple(
            SystemDocumentRow(
                document.title,
                document.location,
                document.version,
                document.dated,
                tuple(f"{covered.framework} {clause}" for covered in document.covers for clause in covered.clauses),
            )
            for document in (system.declared.documents if system.declared else ())
        ),
        history=tuple(
            DeclarationRow(
                recorded.recorded_at,
                recorded.sync_id,
                declared_facts(recorded.declared) if recorded.declared else None,
            )
            for recorded in history
        ),
    )


def _model_row(model: SystemModel) -> SystemModelRow:
    badge = model.badge
    return SystemModelRow(
        model_name=model.model_name,
        assigned_by=model.assigned_by,
        badge=badge.badge if badge else None,
        versions=len(model.versions),
        versions_in_use=tuple(version.version_number for version in model.in_use),
        open_gaps=sum(model.gaps.values()),
    )
