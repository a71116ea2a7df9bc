"""The pages of models and of their versions, from dossiers that are loaded in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from markupsafe import Markup

from verifywise_mlflow.documents.blocks import Section
from verifywise_mlflow.documents.html.rendering import render_sections
from verifywise_mlflow.documents.report.comparison_section import comparison_section
from verifywise_mlflow.documents.report.page_writer import MODELS, PageWriter, TenantFooter
from verifywise_mlflow.documents.report.site_paths import TenantPaths
from verifywise_mlflow.documents.report.stage_timeline import stage_timeline
from verifywise_mlflow.documents.report.tenant_state import ModelSummary
from verifywise_mlflow.documents.report.timeline_svg import timeline_svg
from verifywise_mlflow.documents.version.page import version_sections
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.ai_systems import Declarations, declarations
from verifywise_mlflow.services.comparison import StoredTags, compare_with, stored_tags
from verifywise_mlflow.services.system_facts import SystemFacts
from verifywise_mlflow.services.version_dossier import VersionDossier, dossiers

VERSIONS_PER_BATCH: Final = 100
"""The maximum number of versions that are in memory at the same time."""
MAX_LISTED_VERSIONS: Final = 500
"""The maximum number of versions in the table of a model's page. Below the table, there are links to older versions."""
GAPS: Final = "waivers"
"""The anchor of the last section about gaps."""
MAX_BADGES: Final = 50
"""The maximum number of badge changes on a model's page."""


@dataclass(frozen=True, slots=True)
class _VersionRow:
    number: int
    badge: str | None
    badge_since: datetime | None
    lifecycle_stage: str | None
    aliases: Sequence[str]
    owner: str | None
    open_gaps: Mapping[str, int]
    trained_at: datetime | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class _BadgeChange:
    at: datetime
    number: int
    badge: str


def write_model_pages(
    session: TenantSession,
    writer: PageWriter,
    paths: TenantPaths,
    footer: TenantFooter,
    models: Sequence[ModelSummary],
) -> int:
    """Write the pages of models and of their versions; return how many versions have a page."""
    summaries = {model.name: model for model in models}
    keys = [(model.name, number) for model in models for number in sorted(model.version_numbers)]
    systems = declarations(session, writer.at)
    written: set[str] = set()
    count = 0
    loaded = _loaded(session, keys, writer.at)
    for name, of_model in groupby(loaded, key=lambda pair: pair[0].record.model_name):
        written.add(name)
        count += _write_model(writer, paths, footer, systems, summaries[name], of_model)
    for model in models:
        if model.name not in written:  # the model has no version
            _write_model(writer, paths, footer, systems, model, iter(()))
    return count


def _loaded(session: TenantSession, keys: Sequence[Key], at: datetime) -> Iterator[tuple[VersionDossier, StoredTags]]:
    """Yield the dossiers of versions, each with the tags of the version and of its predecessor."""
    previous: list[VersionDossier] = []
    for start in range(0, len(keys), VERSIONS_PER_BATCH):
        batch = list(dossiers(session, keys[start : start + VERSIONS_PER_BATCH], at))
        tags = stored_tags(session, [*previous, *batch])
        yield from ((dossier, tags) for dossier in batch)
        previous = batch[-1:]


def _write_model(
    writer: PageWriter,
    paths: TenantPaths,
    footer: TenantFooter,
    systems: Declarations,
    model: ModelSummary,
    of_model: Iterator[tuple[VersionDossier, StoredTags]],
) -> int:
    rows: list[_VersionRow] = []
    badges: list[_BadgeChange] = []
    moves: list[RecordedEvent] = []
    previous: VersionDossier | None = None
    comparison: Markup | None = None
    for dossier, tags in of_model:  # the oldest version first
        number = dossier.record.version_number
        sections = version_sections(dossier, _facts(systems, dossier), with_clauses=False)
        if previous:
            compared = comparison_section(compare_with(tags, previous, dossier))
            sections = _after_gaps(sections, compared)
            comparison = render_sections([compared])
        writer.write(
            "version.html.j2",
            paths.version(model.name, number),
            MODELS,
            state=footer,
            dossier=dossier,
            contents=sections,
            sections=render_sections(sections),
        )
        rows.append(_row(dossier))
        badges += (_BadgeChange(state.span.valid_from, number, state.badge) for state in dossier.badges)
        moves += dossier.lifecycle_events
        previous = dossier
    lanes = stage_timeline(moves)
    newest_first = rows[::-1]
    badges.sort(key=lambda change: (change.at, change.number), reverse=True)
    writer.write(
        "model.html.j2",
        paths.model(model.name),
        MODELS,
        state=footer,
        model=model,
        versions=newest_first[:MAX_LISTED_VERSIONS],
        unlisted=[row.number for row in newest_first[MAX_LISTED_VERSIONS:]],
        lanes=lanes,
        timeline=timeline_svg(lanes, writer.at) if lanes else None,
        badges=badges[:MAX_BADGES],
        more_badges=max(len(badges) - MAX_BADGES, 0),
        comparison=comparison,
    )
    return len(rows)


def _after_gaps(sections: tuple[Section, ...], compared: Section) -> tuple[Section, ...]:
    """Return the sections with the comparison after the gaps and before the long tables."""
    place = next((place for place, section in enumerate(sections, start=1) if section.anchor == GAPS), len(sections))
    return (*sections[:place], compared, *sections[place:])


def _facts(systems: Declarations, dossier: VersionDossier) -> SystemFacts:
    model, tag = dossier.record.model_name, dossier.record.ai_system
    return SystemFacts(systems.system_name(model, tag), systems.of(model, tag))


def _row(dossier: VersionDossier) -> _VersionRow:
    record, badge = dossier.record, dossier.badge
    aliases = record.aliases if isinstance(record.aliases, list) else []
    return _VersionRow(
        number=record.version_number,
        badge=badge.badge if badge else None,
        badge_since=badge.span.valid_from if badge else None,
        lifecycle_stage=record.lifecycle_stage,
        aliases=[str(alias) for alias in aliases],
        owner=record.owner,
        open_gaps=Counter(judged.rule.severity for judged in dossier.open_gaps),
        trained_at=record.training_ended_at or record.training_started_at,
        created_at=record.created_at,
    )
