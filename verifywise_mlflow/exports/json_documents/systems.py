"""What ``systems --json`` prints: all AI systems of a tenant, or one AI system."""

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
    """The approved intended purpose."""
    risk_category: str | None
    """The risk category that people decided on: prohibited, high, limited, medium, low or minimal."""
    risk_basis: str | None
    """The reason for the risk category."""
    risk_decided_by: str | None
    """Who decided on the risk category."""
    risk_decided_on: date | None
    """When the risk category was decided on."""
    roles: tuple[str, ...]
    """provider, deployer, importer or distributor: the roles of the organization for this system."""
    provider: str | None
    """The organization that develops the system or commissions its development."""
    owner: str | None
    """Who is responsible for the system."""
    affected_persons: str | None
    """The persons that the system's output is about."""
    last_review: date | None
    """The day of the last review."""
    next_review: date | None
    """The day by which the next review is due."""
    declared_by: str
    """Who made the declaration."""
    declared_on: date
    """The day of the declaration."""


@value_object
class SystemRow:
    """An AI system: what MLflow shows of its models, and what is declared about it."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    system: str
    """The system's name as declared. If it is not declared, the name that a tag has."""
    models: tuple[str, ...]
    """The registered models that belong to it. Empty for a declared system without a model in MLflow."""
    versions: int
    """The number of versions of these models in MLflow."""
    versions_in_use: int
    """The number of these versions that are in production or staging, or at least partly deployed."""
    badge: str | None
    """The worst badge of its models; null without a model."""
    open_gaps: int
    """Gaps that no waiver covers."""
    critical: int
    """Open gaps of critical severity."""
    high: int
    """Open gaps of high severity."""
    medium: int
    """Open gaps of medium severity."""
    low: int
    """Open gaps of low severity."""
    risk_categories: tuple[str, ...]
    """The risk categories that tags state for versions that are not archived, sorted; at most 20, each cut after 120
    characters, since a tag may have any text."""
    declared: DeclaredFacts | None
    """What is declared about the system; null if only tags name the system."""
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
    """declared or tag: what assigns the model to the system."""
    badge: str | None
    """The badge of the model."""
    versions: int
    """The number of versions in MLflow."""
    versions_in_use: tuple[int, ...]
    """The versions in production or staging, or at least partly deployed, the newest first."""
    open_gaps: int
    """Gaps that no waiver covers."""


@value_object
class SystemDocumentRow:
    """A document about the system, stored elsewhere. This product did not open it."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    title: str
    """The document's title."""
    location: str
    """Where to find the document."""
    version: str | None
    """The document's version."""
    dated: date | None
    """The document's date."""
    clauses: tuple[str, ...]
    """The clauses that the document is declared to cover, such as ``EU AI Act Annex IV(5)``."""


@value_object
class DeclarationRow:
    """A state of the declaration. It was valid from the sync that found it until the next state."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    recorded_at: datetime
    """When a sync found this state, UTC."""
    sync_id: str
    """The ID of that sync, as in the audit trail."""
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
    """The models of the system, by name."""
    documents: tuple[SystemDocumentRow, ...]
    """Declared documents, as in the file."""
    history: tuple[DeclarationRow, ...]
    """What was declared over time, the oldest first."""


def declared_facts(declared: DeclaredSystem) -> DeclaredFacts:
    """Return what is declared, in the printed form."""
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
    """Return a system in the printed form."""
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
