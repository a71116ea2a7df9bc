"""The sections about a version in their order, and the document of the evidence pack with these sections."""

from __future__ import annotations

from verifywise_mlflow.documents.blocks import Document, Section, show_time
from verifywise_mlflow.documents.version.findings import accepted_gaps, all_rules, clauses, gaps
from verifywise_mlflow.documents.version.history import history
from verifywise_mlflow.documents.version.identity import at_a_glance, what_it_is, who_answers
from verifywise_mlflow.documents.version.system import system_it_belongs_to
from verifywise_mlflow.documents.version.training import files, how_it_was_evaluated, what_it_was_trained_on
from verifywise_mlflow.documents.version.unknown import unknown
from verifywise_mlflow.services.system_facts import SystemFacts
from verifywise_mlflow.services.version_dossier import VersionDossier


def version_sections(
    dossier: VersionDossier, facts: SystemFacts | None = None, *, with_clauses: bool = True
) -> tuple[Section, ...]:
    """Return all sections about a version, the most important first.

    Args:
        dossier: What is known.
        facts: The AI system that the model belongs to; None leaves its section out.
        with_clauses: Whether the sections include the tables by clause. These tables are the longest, and in a report
            of thousands of pages they repeat what the tables of rules have.
    """
    return (
        at_a_glance(dossier),
        what_it_is(dossier),
        *((system_it_belongs_to(facts),) if facts else ()),
        who_answers(dossier),
        what_it_was_trained_on(dossier),
        how_it_was_evaluated(dossier),
        gaps(dossier),
        accepted_gaps(dossier),
        unknown(dossier, with_clauses=with_clauses),
        *((clauses(dossier),) if with_clauses else ()),
        all_rules(dossier),
        history(dossier),
        files(dossier),
    )


def version_document(dossier: VersionDossier, facts: SystemFacts | None = None) -> Document:
    """Return the document about a version."""
    record = dossier.record
    return Document(
        title=f"{record.model_name}, version {record.version_number}",
        subtitle=(
            f"What MLflow shows of this model version of the tenant {dossier.tenant_id}, as of "
            f"{show_time(dossier.as_of)}. All times are UTC. Nothing here is a statement that a model complies with a "
            "law: it is evidence, and the lack of it, for people who decide."
        ),
        sections=version_sections(dossier, facts),
        as_of=dossier.as_of,
    )
