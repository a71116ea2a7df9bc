"""The first sections: the state at a glance, what the model is, and who is responsible for the model."""

from __future__ import annotations

from collections import Counter

from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.documents.blocks import Cell, Paragraph, Section, Table, show_time
from verifywise_mlflow.documents.version.wording import badge_cell, field_cell, field_rows
from verifywise_mlflow.services.version_dossier import VersionDossier


def at_a_glance(dossier: VersionDossier) -> Section:
    """Return the badge, the number of gaps, and who is responsible for the version."""
    open_gaps, waived = dossier.open_gaps, len(dossier.gaps) - len(dossier.open_gaps)
    by_severity = Counter(judged.rule.severity for judged in open_gaps)
    severities = ", ".join(
        f"{by_severity[severity]} {severity}" for severity in reversed(Severity) if by_severity[severity]
    )
    gap_cell = Cell(f"{len(open_gaps)}", severities, tone="warning" if open_gaps else "good")
    if dossier.badge is None:
        gap_cell = Cell("not evaluated", tone="quiet")
    changed = len(dossier.integrity_events)
    rows = (
        (Cell("Badge"), badge_cell(dossier.badge.badge if dossier.badge else None)),
        (Cell("Open gaps"), gap_cell),
        (Cell("Accepted gaps (waivers)"), Cell(str(waived))),
        (Cell("Files changed in place"), Cell(str(changed), tone="bad" if changed else None)),
        (Cell("Objects that could not be read"), _count(len(dossier.unknowns.unread_objects))),
        *field_rows(dossier, "owner", "lifecycle_stage", "risk_category"),
        (Cell("Record unchanged since"), Cell(show_time(dossier.state.span.valid_from))),
    )
    return Section(
        "at-a-glance",
        "At a glance",
        (*_gone(dossier), Table("The version in short", ("What", "State"), rows)),
    )


def what_it_is(dossier: VersionDossier) -> Section:
    """Return what the model is and does, and its lifecycle stage."""
    record = dossier.record
    return Section(
        "what-the-model-is",
        "What the model is",
        (
            Paragraph(
                "A value that MLflow recorded by itself is a fact about the system. A value from a tag or a "
                "description is a declaration: somebody wrote it, and MLflow does not check whether it is true."
            ),
            Table(
                "Identity and use",
                ("What", "Value and source"),
                (
                    (Cell("Model"), Cell(record.model_name)),
                    (Cell("Version"), Cell(str(record.version_number))),
                    *field_rows(
                        dossier,
                        *("description", "business_purpose", "model_kind", "base_model", "base_model_license"),
                        *("lifecycle_stage", "aliases", "deployment_status", "created_at", "last_updated_at"),
                    ),
                ),
            ),
            Table(
                "Classification, as declared",
                ("What", "Value and source"),
                field_rows(
                    dossier,
                    *("risk_category", "model_tier", "regulatory_scope", "data_sensitivity", "confidentiality"),
                ),
            ),
        ),
    )


def who_answers(dossier: VersionDossier) -> Section:
    """Return the people and teams that the record names."""
    return Section(
        "who-answers-for-it",
        "Who answers for it",
        (
            Paragraph(
                "These names were written into MLflow. MLflow does not show whether the people knew of it, were "
                "entitled to decide, or signed anything."
            ),
            Table(
                "People and decisions",
                ("Role", "Name and source"),
                (
                    (Cell("Owner"), field_cell(dossier, "owner")),
                    *field_rows(
                        dossier,
                        *("compliance_approver", "approval_date", "reviewer", "validator", "validation_date"),
                        "training_user",
                    ),
                ),
            ),
            Table(
                "Assessments",
                ("Assessment", "State and source"),
                field_rows(
                    dossier,
                    *("privacy_assessment_status", "fundamental_rights_assessment_status", "human_oversight_status"),
                    *("security_assessment_version", "safety_evaluation", "monitoring_evidence"),
                ),
            ),
        ),
    )


def _gone(dossier: VersionDossier) -> tuple[Paragraph, ...]:
    if dossier.state.deleted_at is None:
        return ()
    return (
        Paragraph(
            f"MLflow no longer has this version. It was missed first at {show_time(dossier.state.deleted_at)}; what "
            "follows is its last recorded state.",
            "warning",
        ),
    )


def _count(number: int) -> Cell:
    return Cell(str(number), tone="warning" if number else None)
