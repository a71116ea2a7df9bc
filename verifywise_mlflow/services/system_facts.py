"""Facts about a version that its record does not have: its AI system as declared, and the earlier versions."""

from __future__ import annotations

from dataclasses import dataclass

from verifywise_mlflow.compliance.ai_systems import DeclaredSystem
from verifywise_mlflow.persistence.queries.system_versions import EarlierVersion, earlier_versions
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.ai_systems import declarations
from verifywise_mlflow.services.version_dossier import VersionDossier


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """The system of a version, and its earlier versions."""

    system_name: str | None = None
    """Null if no declaration and no tag names the system."""
    declared: DeclaredSystem | None = None
    """The declaration of the system; None without one."""
    earlier_versions: tuple[EarlierVersion, ...] = ()
    """Versions of the model with a lower number, newest first."""


def system_facts(session: TenantSession, dossier: VersionDossier) -> SystemFacts:
    """Return the AI system and the earlier versions of a version, as of the dossier's time."""
    record = dossier.record
    declared = declarations(session, dossier.as_of)
    return SystemFacts(
        declared.system_name(record.model_name, record.ai_system),
        declared.of(record.model_name, record.ai_system),
        tuple(earlier_versions(session, dossier.key, dossier.as_of)),
    )
