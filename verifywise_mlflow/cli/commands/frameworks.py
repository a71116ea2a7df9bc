"""``verifywise-mlflow frameworks``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, fail, out, table
from verifywise_mlflow.common.untrusted_text import inert
from verifywise_mlflow.compliance.coverage import (
    ClauseCoverage,
    FrameworkCoverage,
    Standing,
    State,
    coverage,
    references_of,
)
from verifywise_mlflow.compliance.frameworks import FRAMEWORK_NAMES, Framework, catalogue
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.coverage import coverage_of
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import VARIABLE, load_tenants


@app.command()
def frameworks(
    tenant: Annotated[
        str | None,
        typer.Argument(metavar="[TENANT]", help="Its name in the database. Without one: what MLflow can show at all."),
    ] = None,
    framework: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this framework alone, as 'EU AI Act'.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how much a tenant's records show of each clause of each framework, with what MLflow cannot show at all."""
    with errors_as_sentences(as_json):
        named = _named_in_tenants_yaml(tenant) if tenant and framework is None else ()
    chosen = _chosen(named or ((framework,) if framework else ()), as_json)
    if tenant is None:
        covered = coverage(chosen, references_of(default_policy().rules), ())
    else:
        with errors_as_sentences(as_json), Store(database_url()) as store:
            covered = coverage_of(store, tenant, chosen)
        if not covered[0].versions:
            fail(f"there is no living version of the tenant {tenant!r}", 1, as_json)
    if as_json:
        told = [_told(one, tenant) for one in covered]
        answer = {"tenant": tenant, "chosen_in_tenants_yaml": bool(named), "frameworks": told}
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    for one in covered:
        _print(one, tenant)
    if named:
        out.print("These are the frameworks that tenants.yaml names for the tenant; --framework shows another.")


def _named_in_tenants_yaml(tenant: str) -> tuple[str, ...]:
    """Return the frameworks that the tenant chose; none where there is no tenants.yaml, as an auditor has none."""
    if not os.environ.get(VARIABLE):
        return ()
    described = load_tenants().get(tenant)
    return described.compliance.frameworks if described else ()


def _chosen(names: Collection[str], as_json: bool) -> Sequence[Framework]:
    known = {name.casefold(): framework for name, framework in catalogue().items()}
    for name in names:
        if name.casefold() not in known:
            fail(f"there is no framework {name!r}; there are {', '.join(FRAMEWORK_NAMES)}", 2, as_json)
    asked = {name.casefold() for name in names} or set(known)
    return [framework for name, framework in known.items() if name in asked]


def _told(covered: FrameworkCoverage, tenant: str | None) -> dict[str, object]:
    framework = covered.framework
    return {
        "name": framework.name,
        "edition": framework.edition,
        "covers": framework.covers,
        "source": framework.source,
        **(
            {}
            if tenant is None
            else {
                "versions": covered.versions,
                "states": {state.value: count for state, count in covered.states.items()},
            }
        ),
        "clauses": [
            {
                "id": one.clause.id,
                "about": one.clause.about,
                "obtainable": one.clause.obtainable,
                "direct": one.clause.direct,
                "blank": one.clause.blank,
                "confidence": one.clause.confidence,
                "applicable_from": one.applicable_from.isoformat() if one.applicable_from else None,
                "rules": one.rules,
                **(
                    {}
                    if tenant is None
                    else {
                        "state": one.state,
                        "versions": {standing.value: count for standing, count in one.versions.items()},
                    }
                ),
            }
            for one in covered.clauses
        ],
    }


def _print(covered: FrameworkCoverage, tenant: str | None) -> None:
    framework = covered.framework
    if tenant is None:
        shown = table("clause", "about", "MLflow shows", "it does not show", title=framework.name)
        for one in covered.clauses:
            shown.add_row(one.clause.id, one.clause.about, one.clause.obtainable.value, one.clause.blank)
    else:
        title = f"{framework.name}: {escape(inert(tenant))}, {covered.versions:,} living versions"
        shown = table("clause", "about", "state", "blank", title=title)
        for one in covered.clauses:
            is_counted = any(one.versions.values())
            shown.add_row(
                one.clause.id,
                one.clause.about,
                ": ".join(filter(None, (one.state.value, _counted(one)))),
                one.clause.blank if is_counted or one.state is State.NOT_OBTAINABLE else "No rule asks for it.",
            )
    out.print(shown)
    if tenant is not None:
        out.print(", ".join(f"{count} {state.value}" for state, count in covered.states.items()))
    out.print(f"It covers {framework.covers}. {framework.source[0].upper()}{framework.source[1:]}.", highlight=False)


def _counted(covered: ClauseCoverage) -> str:
    counts = {word: sum(covered.versions[standing] for standing in group) for word, group in _WORDS.items()}
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


_WORDS = {
    "shown": (Standing.SHOWN,),
    "in part": (Standing.IN_PART,),
    "with gaps": (Standing.NOT_SHOWN, Standing.NOT_JUDGED, Standing.ERROR),
    "failed": (Standing.FAILED,),
    "not concerned": (Standing.NOT_APPLICABLE,),
}
"""Of the table, where there is no room for all; ``--json`` has each by itself."""
