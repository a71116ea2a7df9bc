"""``verifywise-mlflow frameworks``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, out, table
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.coverage import (
    ClauseCoverage,
    ClauseState,
    FrameworkCoverage,
    VersionEvidence,
    clause_references,
    framework_coverage,
)
from verifywise_mlflow.compliance.frameworks import FRAMEWORK_NAMES, Framework, catalog
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.coverage import coverage_of
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import TENANTS_VARIABLE, load_tenants

app = typer.Typer()


@app.command()
def frameworks(
    tenant: Annotated[
        str | None,
        typer.Argument(
            metavar="[TENANT]", help="The tenant's name in the database. Without it, what MLflow can show in general."
        ),
    ] = None,
    framework: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this framework, for example 'EU AI Act'.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how much evidence a tenant's records hold for each clause of each framework.

    Clauses that MLflow holds no information on are listed as blanks.
    """
    with exit_on_errors(as_json):
        selected_names = _selected_in_tenants_yaml(tenant) if tenant and framework is None else ()
    selected = _select(selected_names or ((framework,) if framework else ()), as_json)
    if tenant is None:
        coverages = framework_coverage(selected, clause_references(default_policy().rules), ())
    else:
        with exit_on_errors(as_json), Store(database_url()) as store:
            coverages = coverage_of(store, tenant, selected)
        if not coverages[0].version_count:
            fail(f"the tenant {tenant!r} has no version in MLflow", 1, as_json)
    if as_json:
        documents = [_as_json(entry, tenant) for entry in coverages]
        document = {"tenant": tenant, "chosen_in_tenants_yaml": bool(selected_names), "frameworks": documents}
        sys.stdout.write(json.dumps(document) + "\n")
        return
    for entry in coverages:
        _print(entry, tenant)
    if selected_names:
        out.print("tenants.yaml selects these frameworks for the tenant; --framework shows another one.")


def _selected_in_tenants_yaml(tenant: str) -> tuple[str, ...]:
    """Return the frameworks that tenants.yaml selects; none without tenants.yaml, which an auditor does not have."""
    if not os.environ.get(TENANTS_VARIABLE):
        return ()
    configured = load_tenants().get(tenant)
    return configured.compliance.frameworks if configured else ()


def _select(names: Collection[str], as_json: bool) -> Sequence[Framework]:
    frameworks_by_name = {name.casefold(): framework for name, framework in catalog().items()}
    for name in names:
        if name.casefold() not in frameworks_by_name:
            fail(f"there is no framework {name!r}; the frameworks are {', '.join(FRAMEWORK_NAMES)}", 2, as_json)
    wanted = {name.casefold() for name in names} or set(frameworks_by_name)
    return [framework for name, framework in frameworks_by_name.items() if name in wanted]


def _as_json(coverages: FrameworkCoverage, tenant: str | None) -> dict[str, object]:
    framework = coverages.framework
    return {
        "name": framework.name,
        "edition": framework.edition,
        "covers": framework.covers,
        "source": framework.source,
        **(
            {}
            if tenant is None
            else {
                "versions": coverages.version_count,
                "states": {state.value: count for state, count in coverages.state_counts.items()},
            }
        ),
        "clauses": [
            {
                "id": entry.clause.id,
                "about": entry.clause.about,
                "obtainable": entry.clause.obtainable,
                "direct": entry.clause.direct,
                "blank": entry.clause.blank,
                "confidence": entry.clause.confidence,
                "applicable_from": entry.applicable_from.isoformat() if entry.applicable_from else None,
                "rules": entry.rules,
                **(
                    {}
                    if tenant is None
                    else {
                        "state": entry.state,
                        "versions": {standing.value: count for standing, count in entry.version_counts.items()},
                    }
                ),
            }
            for entry in coverages.clauses
        ],
    }


def _print(coverages: FrameworkCoverage, tenant: str | None) -> None:
    framework = coverages.framework
    if tenant is None:
        clause_table = table("clause", "about", "MLflow shows", "MLflow does not show", title=framework.name)
        for entry in coverages.clauses:
            clause_table.add_row(entry.clause.id, entry.clause.about, entry.clause.obtainable.value, entry.clause.blank)
    else:
        title = f"{framework.name}: {escape(escape_invisible(tenant))}, {coverages.version_count:,} versions"
        clause_table = table("clause", "about", "state", "blank", title=title)
        for entry in coverages.clauses:
            is_counted = any(entry.version_counts.values())
            clause_table.add_row(
                entry.clause.id,
                entry.clause.about,
                ": ".join(filter(None, (entry.state.value, _counted(entry)))),
                entry.clause.blank if is_counted or entry.state is ClauseState.NOT_OBTAINABLE else "No rule covers it.",
            )
    out.print(clause_table)
    if tenant is not None:
        out.print(", ".join(f"{count} {state.value}" for state, count in coverages.state_counts.items()))
    out.print(f"It covers {framework.covers}. {framework.source[0].upper()}{framework.source[1:]}.", highlight=False)


def _counted(coverages: ClauseCoverage) -> str:
    counts = {word: sum(coverages.version_counts[standing] for standing in group) for word, group in _WORDS.items()}
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


_WORDS = {
    "shown": (VersionEvidence.SHOWN,),
    "in part": (VersionEvidence.IN_PART,),
    "with gaps": (VersionEvidence.NOT_SHOWN, VersionEvidence.NOT_EVALUATED, VersionEvidence.ERROR),
    "failed": (VersionEvidence.FAILED,),
    "not applicable": (VersionEvidence.NOT_APPLICABLE,),
}
"""The states that the table combines, for lack of space. ``--json`` has each separately."""
