"""What cannot be known from MLflow. Every document about a version has this section, even if it is short."""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.documents.blocks import Block, Bullets, Cell, Paragraph, Section, limited_table, shorten
from verifywise_mlflow.documents.version.training import MAX_ROWS
from verifywise_mlflow.documents.version.wording import label, verdict_cell
from verifywise_mlflow.services.unknown_facts import MissingBecause, Unknowns
from verifywise_mlflow.services.version_dossier import VersionDossier

HEADING = "What cannot be known from MLflow"


def unknown(dossier: VersionDossier, *, with_clauses: bool = True) -> Section:
    """Return what was not read, what is recorded nowhere, and what no MLflow server can show.

    Args:
        dossier: What is known.
        with_clauses: Whether to list the clauses for which MLflow can show nothing, which are the same for all
            versions.
    """
    unknowns = dossier.unknowns
    return Section(
        "what-cannot-be-known",
        HEADING,
        (
            Paragraph(
                "This document is made from what one MLflow server showed to one account. The following is not in it. "
                "An empty place is no evidence that something was not done, and none that it was."
            ),
        ),
        (
            Section("not-read", "What could not be read", tuple(_unread(unknowns))),
            Section("not-recorded", "What nothing in MLflow records for this version", tuple(_missing(unknowns))),
            Section(
                "never-in-mlflow", "What no MLflow server records", tuple(_never(unknowns, with_clauses=with_clauses))
            ),
        ),
    )


def _unread(unknowns: Unknowns) -> Iterator[Block]:
    sentences = [
        Cell(shorten(sentence), _fields(unread.fields))
        for unread in unknowns.unread_objects
        for sentence in unread.sentences
    ]
    sentences += [Cell(shorten(problem)) for problem in unknowns.environment_problems]
    if unknowns.is_manifest_missing:
        sentences.append(Cell("No list of the version's files is recorded: which files it has is unknown."))
    if sentences:
        yield Bullets(tuple(sentences[:MAX_ROWS]))
        if len(sentences) > MAX_ROWS:
            yield Paragraph(f"And {len(sentences) - MAX_ROWS:,} more: record.json has all.")
    if unknowns.files_without_hash:
        rows = (
            (
                Cell(shorten(file.path, 300), form="code"),
                Cell(file.kind.value),
                Cell(shorten(file.note or "not recorded", 300)),
            )
            for file in unknowns.files_without_hash
        )
        yield limited_table(
            "Files whose bytes were not read: a change of them leaves no trace here",
            ("File", "Kind", "Why"),
            rows,
            limit=MAX_ROWS,
        )
    if unknowns.unsettled_rules:
        yield limited_table(
            "Rules without a result",
            ("Rule", "Verdict", "Why"),
            (
                (Cell(verdict.rule_id), verdict_cell(verdict.verdict), Cell(shorten(verdict.reason)))
                for verdict in unknowns.unsettled_rules
            ),
            limit=MAX_ROWS,
            more="verdicts.json",
        )
    if not (sentences or unknowns.files_without_hash or unknowns.unsettled_rules):
        yield Paragraph("Everything that belongs to this version could be read.", "good")


def _missing(unknowns: Unknowns) -> Iterator[Block]:
    reasons = {
        MissingBecause.NOT_READ: "not read",
        MissingBecause.NO_VALUE: "a text without a value",
        MissingBecause.NOT_RECORDED: "not recorded",
    }
    if not unknowns.missing_fields:
        yield Paragraph("Every field of the record has a value.", "good")
        return
    yield limited_table(
        "Fields of the record without a value",
        ("Field", "What it would say", "Why it is empty"),
        (
            (
                Cell(label(missing.field), missing.field),
                Cell(missing.description),
                Cell(reasons[missing.because], shorten(missing.text or "", 200)),
            )
            for missing in unknowns.missing_fields
        ),
        limit=MAX_ROWS,
    )


def _never(unknowns: Unknowns, *, with_clauses: bool) -> Iterator[Block]:
    yield Paragraph(
        "No MLflow server holds these. They are kept elsewhere, or they are missing; somebody has to look for them. "
        "Also: whether a metric suits the purpose, whether a person who is named did decide, and what happened before "
        "the first read."
    )
    if not with_clauses:
        yield Paragraph(f"{len(unknowns.never_in_mlflow):,} clauses need evidence from elsewhere.")
        return
    yield limited_table(
        "Clauses that need evidence from elsewhere",
        ("Clause", "What it is about", "What MLflow does not show"),
        (
            (
                Cell(f"{cited.framework.name} {cited.clause.id}"),
                Cell(cited.clause.about),
                Cell(cited.clause.blank or "Everything."),
            )
            for cited in unknowns.never_in_mlflow
        ),
        limit=5 * MAX_ROWS,
        more="verdicts.json",
    )


def _fields(fields: tuple[str, ...]) -> str:
    return f"Unknown because of it: {', '.join(label(field) for field in fields)}." if fields else ""
