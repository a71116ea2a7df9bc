"""The declared facts about the AI system, under the names that outlines use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.compliance.ai_systems import DeclaredDocument, DeclaredSystem
from verifywise_mlflow.documents.blocks import shorten


@dataclass(frozen=True, slots=True)
class DeclaredFact:
    """A fact that a person states."""

    label: str
    text: str


def declared_facts(names: Sequence[str], declared: DeclaredSystem) -> list[DeclaredFact]:
    """Return the declared facts among the names of an outline."""
    return [DeclaredFact(label, shorten(text)) for name in names for label, text in FACTS[name](declared)]


def covering_documents(declared: DeclaredSystem, framework: str, clause: str) -> list[DeclaredDocument]:
    """Return the declared documents that claim to cover a clause."""
    return [
        document
        for document in declared.documents
        if any(covered.framework == framework and clause in covered.clauses for covered in document.covers)
    ]


def _risk(declared: DeclaredSystem) -> Iterator[tuple[str, str]]:
    if risk := declared.risk:
        yield "Risk category as decided", risk.category
        if risk.basis:
            yield "Basis of the decision", risk.basis
        decided = [
            f"by {risk.decided_by}" if risk.decided_by else "",
            f"on {risk.decided_on}" if risk.decided_on else "",
        ]
        if any(decided):
            yield "Decided", " ".join(filter(None, decided))


def _reviews(declared: DeclaredSystem) -> Iterator[tuple[str, str]]:
    if declared.last_review:
        yield "Last review", declared.last_review.isoformat()
    if declared.next_review:
        yield "Next review", declared.next_review.isoformat()


def _one(
    label: str, text: Callable[[DeclaredSystem], str | None]
) -> Callable[[DeclaredSystem], Iterator[tuple[str, str]]]:
    def fact(declared: DeclaredSystem) -> Iterator[tuple[str, str]]:
        if value := text(declared):
            yield label, value

    return fact


FACTS: Final[Mapping[str, Callable[[DeclaredSystem], Iterator[tuple[str, str]]]]] = {
    "name": _one("AI system", lambda declared: declared.name),
    "purpose": _one("Intended purpose as approved", lambda declared: declared.purpose),
    "provider": _one("Provider", lambda declared: declared.provider),
    "roles": _one("Role of the organization", lambda declared: ", ".join(declared.roles)),
    "owner": _one("Owner of the system", lambda declared: declared.owner),
    "affected_persons": _one("Persons affected", lambda declared: declared.affected_persons),
    "risk": _risk,
    "reviews": _reviews,
}
"""The names that an outline may use."""
