"""``verifywise-mlflow frameworks``."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Annotated

import typer

from verifywise_mlflow.cli.clause_output import clause_as_json, print_clause
from verifywise_mlflow.cli.coverage_output import coverage_as_json, print_coverage
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, out, print_json
from verifywise_mlflow.cli.version_clause_output import print_version, version_as_json
from verifywise_mlflow.compliance.coverage import FrameworkCoverage, clause_references, framework_coverage
from verifywise_mlflow.compliance.frameworks import Catalog, Framework, shipped_catalog
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.coverage import coverage_of, stored_catalog
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.clause_evidence import CitedClause, clause_evidence, version_evidence
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
    clause: Annotated[
        str | None,
        typer.Option(metavar="CLAUSE", help="The rules and versions behind this clause, such as 'Annex IV(2)(g)'."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="With --version: the clauses that this version shows.")
    ] = None,
    version: Annotated[int | None, typer.Option(metavar="VERSION", min=1, help="The version's number.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="Versions of a clause to list, those with the worst gaps first.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how much evidence a tenant's records hold for each clause of each framework.

    Clauses that MLflow holds no information on are listed as blanks. With --clause: the rules and versions behind a
    clause; with --model and --version: a version's verdicts, values, origins and files. Reads the database only.
    """
    key = _version_key(model, version, as_json)
    if tenant is None:
        if clause or key:
            fail("--clause, --model and --version need a tenant: frameworks TENANT --clause CLAUSE", 2, as_json)
        selected = _select((framework,) if framework else (), shipped_catalog(), as_json)
        _show_coverages(framework_coverage(selected, clause_references(default_policy().rules), ()), None, as_json)
        return
    with exit_on_errors(as_json), Store(database_url()) as store:
        catalog = stored_catalog(store, tenant)
        if clause or key:
            selected = _select((framework,) if framework else (), catalog, as_json)
            _show_evidence(store, tenant, selected, clause, key, limit, as_json)
            return
        names = (framework,) if framework else _selected_in_tenants_yaml(tenant)
        coverages = coverage_of(store, tenant, _select(names, catalog, as_json))
    if not coverages[0].version_count + coverages[0].archived_count:
        fail(f"the tenant {tenant!r} has no version in MLflow", 1, as_json)
    _show_coverages(coverages, tenant, as_json, is_selected=bool(names) and framework is None)


def _version_key(model: str | None, version: int | None, as_json: bool) -> Key | None:
    if (model is None) != (version is None):
        fail("--model and --version belong together: name both or neither", 2, as_json)
    return None if model is None or version is None else (model, version)


def _show_coverages(
    coverages: Sequence[FrameworkCoverage], tenant: str | None, as_json: bool, *, is_selected: bool = False
) -> None:
    if as_json:
        documents = [coverage_as_json(coverage, tenant) for coverage in coverages]
        print_json({"tenant": tenant, "chosen_in_tenants_yaml": is_selected, "frameworks": documents})
        return
    for coverage in coverages:
        print_coverage(coverage, tenant)
    if is_selected:
        out.print("tenants.yaml selects these frameworks for the tenant; --framework shows another one.")


def _show_evidence(
    store: Store,
    tenant: str,
    selected: Sequence[Framework],
    clause: str | None,
    key: Key | None,
    limit: int,
    as_json: bool,
) -> None:
    cited = _cited_clauses(selected, clause, as_json)
    with store.begin(tenant) as session:
        if key is None:
            evidence = clause_evidence(session, cited, limit)
            if as_json:
                print_json({"tenant": tenant, "clauses": [clause_as_json(entry) for entry in evidence]})
                return
            for entry in evidence:
                print_clause(entry, tenant)
            return
        of_version = version_evidence(session, cited, key)
    if of_version is None:
        fail(f"there is no record of {key[0]!r} version {key[1]} of the tenant {tenant!r}", 1, as_json)
    if as_json:
        print_json(version_as_json(of_version, tenant))
    else:
        print_version(of_version, with_values=clause is not None)


def _cited_clauses(selected: Sequence[Framework], citation: str | None, as_json: bool) -> Sequence[CitedClause]:
    """Return the clauses of that number in any of the frameworks; all clauses without a number."""
    clauses = [CitedClause(framework, clause) for framework in selected for clause in framework.clauses]
    if citation is None:
        return clauses
    cited = [entry for entry in clauses if _compact(entry.clause.id) == _compact(citation)]
    if not cited:
        ids = {_compact(entry.clause.id): entry.clause.id for entry in clauses}
        close = [ids[name] for name in ids if name.startswith(_compact(citation))]
        close = close or [ids[name] for name in get_close_matches(_compact(citation), ids, 5, 0.5)]
        names = ", ".join(framework.name for framework in selected)
        nearest = f"; the nearest are: {', '.join(close[:5])}" if close else ""
        fail(f"there is no clause {citation!r} in {names}{nearest}", 2, as_json)
    return cited


def _compact(citation: str) -> str:
    return "".join(citation.split()).casefold()


def _selected_in_tenants_yaml(tenant: str) -> tuple[str, ...]:
    """Return the frameworks that tenants.yaml selects; none without tenants.yaml, which an auditor does not have."""
    if not os.environ.get(TENANTS_VARIABLE):
        return ()
    configured = load_tenants().get(tenant)
    return configured.compliance.frameworks if configured else ()


def _select(names: Collection[str], catalog: Catalog, as_json: bool) -> Sequence[Framework]:
    by_name = {name.casefold(): framework for name, framework in catalog.items()}
    for name in names:
        if name.casefold() not in by_name:
            fail(
                f"there is no framework {name!r}; the frameworks are {', '.join(catalog)}. A framework that was added "
                "to tenants.yaml appears with the tenant's next sync",
                2,
                as_json,
            )
    wanted = {name.casefold() for name in names} or set(by_name)
    return [framework for name, framework in by_name.items() if name in wanted]
