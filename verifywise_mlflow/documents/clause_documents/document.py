"""Builds the document: each clause with evidence from MLflow, declared facts, and what a person has to write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from verifywise_mlflow.compliance.ai_systems import DeclaredDocument
from verifywise_mlflow.compliance.frameworks import Framework, Obtainable
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.documents.blocks import (
    Block,
    Cell,
    Document,
    Paragraph,
    Section,
    Table,
    Tone,
    shorten,
    show_day,
    show_time,
)
from verifywise_mlflow.documents.clause_documents.evidence_values import ShownValue, of_origin, shown_values
from verifywise_mlflow.documents.clause_documents.outline import OutlinedClause, outline_of
from verifywise_mlflow.documents.declared_facts import DeclaredFact, covering_documents, declared_facts
from verifywise_mlflow.documents.version.wording import VERDICT_TONES, show_value
from verifywise_mlflow.services.clause_evidence import RuleOnVersion, VersionClause
from verifywise_mlflow.services.system_facts import SystemFacts
from verifywise_mlflow.services.version_dossier import VersionDossier

TO_BE_WRITTEN: Final = "To be written by a person"


class Filling(StrEnum):
    """What fills a clause. The filling never exceeds what MLflow can show of the clause according to the catalog."""

    EVIDENCE = "evidence"
    """MLflow recorded what the clause requires."""
    PARTLY = "evidence of a part"
    SUPPORTS = "supporting records"
    """The clause requires records to be kept, and there are records."""
    TAGS_ONLY = "tags only"
    """All values come from tags and descriptions that people wrote."""
    DECLARED = "declared only"
    """MLflow shows nothing of the clause. The file of AI systems states something about the clause, or names a
    document."""
    BLANK = "blank"


_BY_RECORDED_VALUES: Final[Mapping[Obtainable, Filling]] = {
    Obtainable.EVIDENCED: Filling.EVIDENCE,
    Obtainable.PARTLY: Filling.PARTLY,
    Obtainable.SUPPORTS: Filling.SUPPORTS,
    Obtainable.DECLARED_ONLY: Filling.TAGS_ONLY,
}


@dataclass(frozen=True, slots=True)
class FilledClause:
    """A clause of the document, and what fills the clause."""

    outlined: OutlinedClause
    evidence: VersionClause
    values: tuple[ShownValue, ...]
    facts: tuple[DeclaredFact, ...]
    documents: tuple[DeclaredFact, ...]
    """Declared documents that claim to cover the clause: the title and the location of each document."""

    @property
    def filling(self) -> Filling:
        """What fills the clause."""
        if self.values and self.is_obtainable:
            is_recorded = any(not value.is_claim for value in self.values)
            return _BY_RECORDED_VALUES[self.evidence.cited.clause.obtainable] if is_recorded else Filling.TAGS_ONLY
        return Filling.DECLARED if self.facts or self.documents else Filling.BLANK

    @property
    def is_obtainable(self) -> bool:
        """Whether MLflow can show any part of the clause. Otherwise, the values are only about the same subject."""
        return self.evidence.cited.clause.obtainable is not Obtainable.NOT_OBTAINABLE


@dataclass(frozen=True, slots=True)
class FilledPart:
    """A part of the document."""

    title: str
    clauses: tuple[FilledClause, ...]


def filled_parts(dossier: VersionDossier, framework: Framework, facts: SystemFacts) -> tuple[FilledPart, ...]:
    """Return the clauses of a framework's document in their order, each with its filling."""
    by_id = {entry.cited.clause.id: entry for entry in dossier.clauses_of(framework)}
    return tuple(
        FilledPart(
            part.title,
            tuple(_filled(outlined, by_id[outlined.id], dossier, framework, facts) for outlined in part.clauses),
        )
        for part in outline_of(framework).parts
    )


def clause_document(dossier: VersionDossier, framework: Framework, facts: SystemFacts) -> Document:
    """Return the document of a version in the order of a framework's clauses.

    For the EU AI Act, it is the technical documentation in the order of Annex IV.
    """
    parts = filled_parts(dossier, framework, facts)
    name, number = dossier.key
    return Document(
        title=outline_of(framework).title,
        subtitle=f"{name}, version {number}" + (f", of the AI system {facts.system_name}" if facts.system_name else ""),
        sections=(
            _about(dossier, framework, facts, parts),
            _overview(parts),
            *(
                Section(f"part-{index}", part.title, (), tuple(_section(filled, facts) for filled in part.clauses))
                for index, part in enumerate(parts, 1)
            ),
        ),
        as_of=dossier.as_of,
    )


def _filled(
    outlined: OutlinedClause, evidence: VersionClause, dossier: VersionDossier, framework: Framework, facts: SystemFacts
) -> FilledClause:
    if outlined.values:
        values = [value for name in outlined.values for value in shown_values(name, dossier, facts)]
    else:
        values = [value for rule in evidence.rules for value in _read_by(rule)]
    declared = facts.declared
    documents = covering_documents(declared, framework.name, outlined.id) if declared else []
    return FilledClause(
        outlined,
        evidence,
        tuple(dict.fromkeys(values)),
        tuple(declared_facts(outlined.declared, declared)) if declared else (),
        tuple(DeclaredFact(document.title, _place(document)) for document in documents),
    )


def _place(document: DeclaredDocument) -> str:
    parts = [document.location]
    parts += [f"version {document.version}"] if document.version else []
    parts += [f"dated {document.dated.isoformat()}"] if document.dated else []
    return ", ".join(parts)


def _read_by(rule: RuleOnVersion) -> Iterator[ShownValue]:
    """Yield the values by which a rule passed. They fill a clause whose outline names no values."""
    verdict = rule.verdict
    if verdict is None or verdict.verdict != Verdict.PASS:
        return
    for path, value in verdict.values.items():
        if value not in (None, "", [], {}) and not path.startswith(("stated.", "origins.")):
            origin = verdict.origins.get(path) or verdict.origins.get(path.partition(".")[0])
            yield of_origin(path, show_value(value), origin)


def _about(dossier: VersionDossier, framework: Framework, facts: SystemFacts, parts: Sequence[FilledPart]) -> Section:
    texts = [
        f"This document has the points of {framework.name} ({framework.edition}) in their order. Values come from "
        f"MLflow, as recorded on {show_time(dossier.as_of)}, each with its source. A value from a tag or a description "
        "is a claim: nothing shows that it is true.",
        f"It is a draft. Each point says what is “{TO_BE_WRITTEN.casefold()}”: no value replaces that, and no point is "
        "met because it has one.",
        _about_declared(facts),
        f"About the points themselves: {framework.source}.",
    ]
    dates = {filled.evidence.cited.clause.applies for part in parts for filled in part.clauses}
    for name, date in framework.dates.items():
        if name in dates:
            texts.append(f"They apply from {date.applicable_from}: {date.cited_source}.")
    return Section("about", "About this document", tuple(Paragraph(text) for text in texts))


def _about_declared(facts: SystemFacts) -> str:
    if declared := facts.declared:
        return (
            f"What is under “Declared” was stated about the AI system {declared.name} by {declared.declared_by} on "
            f"{show_day(declared.declared_on)}. It is no evidence."
        )
    if facts.system_name:
        return f"A tag names the AI system {facts.system_name}. Nothing is declared about it."
    return "No AI system is named that this model is a part of."


_TONES: Final[Mapping[Filling, Tone]] = {
    Filling.TAGS_ONLY: "warning",
    Filling.DECLARED: "warning",
    Filling.BLANK: "warning",
}


def _overview(parts: Sequence[FilledPart]) -> Section:
    clauses = [filled for part in parts for filled in part.clauses]
    counts = Counter(filled.filling for filled in clauses)
    counted = ", ".join(f"{counts[filling]} {filling}" for filling in Filling if counts[filling])
    rows = tuple(
        (
            Cell(filled.outlined.id),
            Cell(filled.outlined.title),
            Cell(filled.filling.value, tone=_TONES.get(filled.filling)),
        )
        for filled in clauses
    )
    return Section(
        "overview",
        "Overview",
        (
            Paragraph(f"Of {len(clauses)} points: {counted}. Every one of them needs a person."),
            Table("What fills each point", ("point", "about", "filled by"), rows),
        ),
    )


def _section(filled: FilledClause, facts: SystemFacts) -> Section:
    outlined = filled.outlined
    return Section(
        f"clause-{_anchor(outlined.id)}",
        f"{outlined.id} {outlined.title}",
        tuple(_blocks(filled, facts)),
    )


def _blocks(filled: FilledClause, facts: SystemFacts) -> Iterator[Block]:
    if filled.values:
        rows = tuple(
            (
                Cell(value.label),
                Cell(value.text, form=value.form),
                Cell(value.source, note="a claim, not a measurement" if value.is_claim else ""),
            )
            for value in filled.values
        )
        caption = "What MLflow shows" if filled.is_obtainable else "Related values, which do not meet this point"
        yield Table(caption, ("value", "as recorded", "source"), rows)
    else:
        yield Paragraph("MLflow shows nothing for this point.", tone="quiet")
    if (declared := facts.declared) and (filled.facts or filled.documents):
        by = f"{declared.declared_by}, {show_day(declared.declared_on)}"
        rows = tuple((Cell(fact.label), Cell(fact.text), Cell(by)) for fact in (*filled.facts, *filled.documents))
        yield Table("Declared, not evidence", ("fact or document", "as declared", "declared by, on"), rows)
    if filled.evidence.rules:
        yield Table(
            "Rules about this point",
            ("rule", "verdict", "reason"),
            tuple(_rule_row(rule) for rule in filled.evidence.rules),
        )
    yield Paragraph(f"{TO_BE_WRITTEN}: {filled.outlined.asks}", tone="warning")


def _rule_row(rule: RuleOnVersion) -> tuple[Cell, ...]:
    verdict = rule.verdict
    if verdict is None:
        return Cell(rule.rule.title or rule.rule.rule_id), Cell("not evaluated", tone="quiet"), Cell("")
    return (
        Cell(rule.rule.title or rule.rule.rule_id, note=rule.rule.rule_id),
        Cell(verdict.verdict, tone=VERDICT_TONES.get(verdict.verdict)),
        Cell(shorten(verdict.reason)),
    )


def _anchor(clause_id: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", clause_id.casefold()).strip("-")
