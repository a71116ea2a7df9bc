"""The files of a framework's document, for the evidence pack."""

from __future__ import annotations

from collections.abc import Mapping

from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.documents.clause_documents.document import clause_document
from verifywise_mlflow.documents.clause_documents.outline import outline_of
from verifywise_mlflow.documents.html.rendering import render_document
from verifywise_mlflow.documents.markdown import render_markdown
from verifywise_mlflow.services.system_facts import SystemFacts
from verifywise_mlflow.services.version_dossier import VersionDossier


def document_files(dossier: VersionDossier, framework: Framework, facts: SystemFacts) -> Mapping[str, str]:
    """Return a version's document in the order of a framework's clauses, as HTML and as Markdown, by file name.

    For the EU AI Act, these are ``annex-iv.html`` and ``annex-iv.md``.

    Args:
        dossier: The version.
        framework: The framework, from the catalog of the dossier's policies or the package's own.
        facts: The facts about the AI system, from ``services.system_facts.system_facts``.
    """
    document, name = clause_document(dossier, framework, facts), outline_of(framework).file
    return {f"{name}.html": render_document(document), f"{name}.md": render_markdown(document)}
