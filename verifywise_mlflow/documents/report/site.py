"""Writes the site: a folder of pages for a file system or any web server. The pages request nothing from elsewhere.

Equal states give equal files, apart from ages and waivers, which depend on the time of the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Final

from verifywise_mlflow.documents.html.rendering import stylesheet
from verifywise_mlflow.documents.report.model_pages import write_model_pages
from verifywise_mlflow.documents.report.page_folder import PageFolder, replaced_folder
from verifywise_mlflow.documents.report.page_writer import PageWriter, TenantFooter
from verifywise_mlflow.documents.report.site_paths import (
    MANIFEST,
    SCRIPT,
    START,
    STYLES,
    THEME_SCRIPT,
    TenantPaths,
)
from verifywise_mlflow.documents.report.tenant_pages import write_tenant_pages
from verifywise_mlflow.documents.report.tenant_state import ModelSummary, TenantState, tenant_state
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.forked_computation import ForkedComputation, is_forking_useful

MIN_VERSIONS_TO_FORK: Final = 300
"""From this number of versions on, a second process saves more time than starting the process takes."""
_ASSETS: Final = files("verifywise_mlflow.documents.report") / "assets"


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """A summary of what was written."""

    folder: Path
    start_page: Path
    tenants: Sequence[str]
    only_systems: Sequence[str]
    models: int
    versions: int
    pages: int


@dataclass(frozen=True, slots=True)
class _Share:
    """The models whose pages one process writes, by tenant."""

    models: Sequence[tuple[TenantPaths, TenantFooter, Sequence[ModelSummary]]]


def write_site(
    open_store: Callable[[], Store],
    tenant_ids: Sequence[str],
    destination: Path,
    at: datetime,
    systems: Sequence[str] = (),
) -> SiteSummary:
    """Write the report on some tenants to a folder, replacing an earlier report there.

    Args:
        open_store: opens a store; a second process opens its own.
        tenant_ids: the tenants, at least one.
        destination: the folder. It is replaced at once, when the report is complete.
        at: the current time.
        systems: the AI systems that the report is about. Each tenant must have them. Empty for all models.

    Raises:
        UnresolvedNameError: a tenant has no such AI system.
        UnsuitableFolderError: the destination contains something other than a report.
        OSError: a file cannot be written.
        DatabaseError: the database cannot be used.
    """
    with replaced_folder(destination) as folder:
        states = []
        with open_store() as store:
            for tenant_id in tenant_ids:
                with store.begin_snapshot(tenant_id) as session:
                    states.append(tenant_state(session, at, systems))
        tenants = [TenantPaths(state.tenant_id, is_only=len(states) == 1) for state in states]
        search_sources = [paths.search_entries for paths in tenants]
        writer = PageWriter(folder, at, search_sources, only_systems=states[0].only_systems)
        versions = _write_models(open_store, writer, tenants, states)
        for paths, state in zip(tenants, states, strict=True):
            write_tenant_pages(_of_tenant(writer, paths), paths, state)
        if len(states) > 1:
            writer.write(
                "start.html.j2",
                START,
                "",
                state=None,
                states=states,
                tenants=list(zip(tenants, states, strict=True)),
            )
        _write_assets(folder)
        models = sum(len(state.models) for state in states)
        folder.write(MANIFEST, _manifest(states, at))
        pages = sum(1 for _ in folder.path.rglob("*.html"))
    names = [state.tenant_id for state in states]
    return SiteSummary(destination, destination / START, names, states[0].only_systems, models, versions, pages)


def _write_models(
    open_store: Callable[[], Store], writer: PageWriter, tenants: Sequence[TenantPaths], states: Sequence[TenantState]
) -> int:
    """Write the pages of all models and versions; with many versions, a second process writes half of them."""
    everything = [
        (paths, TenantFooter(state.tenant_id, state.completeness), state.models)
        for paths, state in zip(tenants, states, strict=True)
    ]
    write = partial(_write_share, open_store, writer)
    if sum(state.version_count for state in states) < MIN_VERSIONS_TO_FORK or not is_forking_useful():
        return write(_Share(everything))
    halves = _halves(everything)
    with ForkedComputation(write, halves[0]) as other_process:
        return write(halves[1]) + other_process.result()


def _halves(
    everything: Sequence[tuple[TenantPaths, TenantFooter, Sequence[ModelSummary]]],
) -> tuple[_Share, _Share]:
    """Return two shares with about the same number of versions: each model is added to the smaller share."""
    sizes = [0, 0]
    shares: tuple[list[tuple[TenantPaths, TenantFooter, Sequence[ModelSummary]]], ...] = ([], [])
    for paths, footer, models in everything:
        split: tuple[list[ModelSummary], list[ModelSummary]] = ([], [])
        for model in models:
            place = 0 if sizes[0] <= sizes[1] else 1
            sizes[place] += 1 + len(model.version_numbers)
            split[place].append(model)
        for share, part in zip(shares, split, strict=True):
            share.append((paths, footer, part))
    return _Share(shares[0]), _Share(shares[1])


def _write_share(open_store: Callable[[], Store], writer: PageWriter, share: _Share) -> int:
    versions = 0
    with open_store() as store:
        for paths, footer, models in share.models:
            with store.begin_snapshot(paths.tenant_id) as session:
                versions += write_model_pages(session, _of_tenant(writer, paths), paths, footer, models)
    return versions


def _of_tenant(writer: PageWriter, paths: TenantPaths) -> PageWriter:
    return replace(writer, paths=paths)


def _write_assets(folder: PageFolder) -> None:
    own_styles = (_ASSETS / "report.css").read_text(encoding="utf-8")
    folder.write(STYLES, f"{stylesheet()}\n{own_styles}")
    for path in (SCRIPT, THEME_SCRIPT):
        folder.write(path, (_ASSETS / Path(path).name).read_text(encoding="utf-8"))


def _manifest(states: Sequence[TenantState], at: datetime) -> str:
    """Return the manifest of the report: each tenant with the entry of the audit trail that the state belongs to."""
    document = {
        "report": "verifywise-mlflow governance report",
        "as_of": at.date().isoformat(),
        "tenants": [
            {
                "tenant": state.tenant_id,
                "models": len(state.models),
                "versions": state.version_count,
                "only_ai_systems": list(state.only_systems),
                "audit_trail": {"entries": head.sequence, "hash": head.hash}
                if (head := state.completeness.head)
                else None,
            }
            for state in states
        ],
    }
    return json.dumps(document, indent=2) + "\n"
