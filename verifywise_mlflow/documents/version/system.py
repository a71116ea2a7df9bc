"""The AI system that the model belongs to, and its declaration."""

from __future__ import annotations

from verifywise_mlflow.documents.blocks import Block, Cell, Paragraph, Section, Table, shorten
from verifywise_mlflow.documents.declared_facts import FACTS, declared_facts
from verifywise_mlflow.services.system_facts import SystemFacts


def system_it_belongs_to(facts: SystemFacts) -> Section:
    """Return the declaration of the system, or a sentence that states that there is no declaration."""
    blocks: tuple[Block, ...]
    if facts.declared is None:
        name = f"Tags name the AI system “{shorten(facts.system_name, 200)}”." if facts.system_name else ""
        blocks = (Paragraph(f"{name or 'No AI system is named.'} Nothing is declared about it.", "warning"),)
    else:
        rows = tuple(
            (Cell(fact.label), Cell(fact.text, shorten(facts.declared.attribution)))
            for fact in declared_facts(tuple(FACTS), facts.declared)
        )
        blocks = (Table("The AI system, as declared", ("What", "Declaration"), rows),)
    return Section(
        "ai-system",
        "The AI system it belongs to",
        (
            Paragraph(
                "Under the EU AI Act, the intended purpose and the risk class belong to an AI system, not to a model "
                "version, and MLflow knows no systems. What is declared here was stated by people in a file; it is no "
                "evidence, and no verdict rests on it."
            ),
            *blocks,
        ),
    )
