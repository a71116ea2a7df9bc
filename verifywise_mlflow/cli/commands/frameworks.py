"""``verifywise-mlflow frameworks``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from verifywise_mlflow.cli.clause_output import clause_as_json, print_clause
from verifywise_mlflow.cli.coverage_output import coverage_as_json, print_coverage, print_overview
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.framework_selection import select_frameworks
from verifywise_mlflow.cli.output import AsJson, fail, out, print_json
from verifywise_mlflow.cli.version_clause_output import print_version, version_as_json
from verifywise_mlflow.common.unresolved_names import UnresolvedNameError, nearest_names
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.coverage import FrameworkCoverage, clause_references, framework_coverage
from verifywise_mlflow.compliance.frameworks import Framework, shipped_catalog
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.coverage import coverage_of, stored_catalog
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.clause_evidence import CitedClause, clause_evidence, version_evidence
from verifywise_mlflow.services.version_references import require_known_tenant, require_recorded, resolve_version
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
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The version's number, alias or stage.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="Versions of a clause to list, those with the worst gaps first.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how much evidence a tenant's records hold for each clause of each framework.

    Without --framework: an overview of the frameworks. With --framework: each clause. Clauses on which MLflow holds no
    information are listed as blanks. With --clause: the rules and versions behind a clause. With --model and --version:
    a version's verdicts, values, origins and files. Reads the database only.
    """
    if (model is None) != (version is None):
        fail("--model and --version belong together: name both or neither", 2, as_json)
    if tenant is None:
        if clause or model:
            fail("--clause, --model and --version need a tenant: frameworks TENANT --clause CLAUSE", 2, as_json)
        with exit_on_errors(as_json):
            selected = select_frameworks((framework,) if framework else (), shipped_catalog())
        _show_coverages(framework_coverage(selected, clause_references(default_policy().rules), ()), None, as_json)
        return
    with exit_on_errors(as_json), Store(database_url()) as store:
        catalog = stored_catalog(store, tenant)
        if clause or model:
            cited = _cited_clauses(select_frameworks((framework,) if framework else (), catalog), clause)
            if model is not None and version is not None:
                _show_version(store, tenant, cited, model, version, with_values=clause is not None, as_json=as_json)
            else:
                _show_clauses(store, tenant, cited, limit, as_json)
            return
        names = (framework,) if framework else _selected_in_tenants_yaml(tenant)
        coverages = coverage_of(store, tenant, select_frameworks(names, catalog))
        if not coverages[0].version_count + coverages[0].archived_count:
            with store.begin_snapshot(tenant) as session:
                require_known_tenant(session)
    if not coverages[0].version_count + coverages[0].archived_count:
        fail(f"the tenant {tenant!r} has no version in MLflow", 1, as_json)
    _show_coverages(coverages, tenant, as_json, is_selected=bool(names) and framework is None)


def _show_coverages(
    coverages: Sequence[FrameworkCoverage], tenant: str | None, as_json: bool, *, is_selected: bool = False
) -> None:
    if as_json:
        documents = [coverage_as_json(coverage, tenant) for coverage in coverages]
        print_json({"tenant": tenant, "chosen_in_tenants_yaml": is_selected, "frameworks": documents})
        return
    if len(coverages) > 1:
        print_overview(coverages, tenant)
    else:
        print_coverage(coverages[0], tenant)
    if is_selected:
        out.print("tenants.yaml selects these frameworks for the tenant; --framework shows another one.")


def _show_clauses(store: Store, tenant: str, cited: Sequence[CitedClause], limit: int, as_json: bool) -> None:
    with store.begin_snapshot(tenant) as session:
        evidence = clause_evidence(session, cited, limit)
        if not any(entry.version_count or entry.archived_count for entry in evidence):
            require_known_tenant(session)
    if as_json:
        print_json({"tenant": tenant, "clauses": [clause_as_json(entry) for entry in evidence]})
        return
    for entry in evidence:
        print_clause(entry, tenant)


def _show_version(
    store: Store,
    tenant: str,
    cited: Sequence[CitedClause],
    model: str,
    version: str,
    *,
    with_values: bool,
    as_json: bool,
) -> None:
    with store.begin_snapshot(tenant) as session:
        key = (model, resolve_version(session, model, version))
        of_version = version_evidence(session, cited, key)
        if of_version is None:
            require_recorded(session, key)
    if of_version is None:
        fail(f"there is no record of {quote(model)} version {key[1]} of the tenant {quote(tenant)}", 1, as_json)
    if as_json:
        print_json(version_as_json(of_version, tenant))
    else:
        print_version(of_version, with_values=with_values)


def _cited_clauses(selected: Sequence[Framework], citation: str | None) -> Sequence[CitedClause]:
    """Return the clauses with the cited number in any of the frameworks; without a citation, all clauses."""
    clauses = [CitedClause(framework, clause) for framework in selected for clause in framework.clauses]
    if citation is None:
        return clauses
    cited = [entry for entry in clauses if _compact(entry.clause.id) == _compact(citation)]
    if not cited:
        ids = dict.fromkeys(entry.clause.id for entry in clauses)
        close = [name for name in ids if _compact(name).startswith(_compact(citation))]
        close = close or nearest_names(citation, ids)
        names = ", ".join(framework.name for framework in selected)
        nearest = f"; the nearest are: {', '.join(close[:5])}" if close else ""
        raise UnresolvedNameError(f"there is no clause {quote(citation)} in {names}{nearest}")
    return cited


def _compact(citation: str) -> str:
    return "".join(citation.split()).casefold()


def _selected_in_tenants_yaml(tenant: str) -> tuple[str, ...]:
    """Return the frameworks that tenants.yaml selects. Auditors have no tenants.yaml: for them, return none."""
    if not os.environ.get(TENANTS_VARIABLE):
        return ()
    configured = load_tenants().get(tenant)
    return configured.compliance.frameworks if configured else ()
