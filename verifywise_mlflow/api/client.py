"""The client: what a notebook asks about models, versions and gaps. It only reads the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeVar

from verifywise_mlflow.api.arguments import closed_words, moment, texts
from verifywise_mlflow.api.errors import InvalidArgumentError, translated_errors
from verifywise_mlflow.api.lineage import Lineage
from verifywise_mlflow.api.rows import TenantRow
from verifywise_mlflow.api.version import VersionRecord, known_version, version_record
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.coverage import stored_catalog
from verifywise_mlflow.persistence.queries.history import Period
from verifywise_mlflow.persistence.queries.training_lineage import count_versions
from verifywise_mlflow.persistence.queries.version_filter import NOT_EVALUATED, OPTIONAL_FIELDS, VersionFilter
from verifywise_mlflow.persistence.repositories.tenancy import stage_refreshes_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.agents import AgentRow, agent_rows
from verifywise_mlflow.services.change_rows import ChangeRow, HistoryRow, history_rows, net_changes
from verifywise_mlflow.services.comparison import ComparedValue, compare
from verifywise_mlflow.services.gaps import Gap, GapFilter, open_gaps
from verifywise_mlflow.services.inventory import InventoryFilter, InventoryRow, inventory_of
from verifywise_mlflow.services.lineage_graph import DEFAULT_NODES, lineage_graph
from verifywise_mlflow.services.list_filters import require_known_filters
from verifywise_mlflow.services.per_tenant_reading import read_each, readable_tenants
from verifywise_mlflow.services.prompts import PromptRow, prompt_rows
from verifywise_mlflow.services.version_history import version_history
from verifywise_mlflow.services.version_references import (
    require_known_model,
    require_known_tenant,
    require_recorded,
    resolve_version,
)

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")

_SEVERITIES: Final = tuple(map(str, Severity))
_BADGES: Final = (*map(str, Badge), NOT_EVALUATED)


def connect(url: str | None = None) -> Client:
    """Connect to the database that the syncs write, and return a client that reads it.

    The role of a reader suffices: ``verifywise-mlflow db grant reader``.

    Args:
        url: ``postgresql://user:password@host:5432/database``; by default, the value of the environment variable
            ``VERIFYWISE_DATABASE_URL``.

    Raises:
        StoreError: There is no URL, the database cannot be reached, or its schema does not match this release.
    """
    with translated_errors():
        return Client(Store(url or database_url()))


class Client:
    """Reads what syncs have stored. Use it as a context manager, or call ``close``.

    - A tenant has the same name as in tenants.yaml. If no tenant is named, methods that take several tenants read all
      tenants that the database role may see.
    - A version is a number, an alias (``champion``, ``@champion``), or a lifecycle stage that only this version has.
    - A time is a ``datetime`` with a zone, or a text such as ``2026-03-03``, ``yesterday`` or ``7d``. A text without a
      zone is local time.
    - A filter takes one text or several texts, which are alternatives. ``*`` matches any characters.
    - Tables are pandas data frames, which need the extra ``pandas``. Times in them are UTC.

    Every method raises ``StoreError`` if the database cannot be used, ``NotFoundError`` for a name that does not exist,
    and ``InvalidArgumentError`` for a value without a meaning.
    """

    def __init__(self, store: Store) -> None:
        """Call ``connect`` instead."""
        self._store = store

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the database."""
        self._store.close()

    def tenants(self) -> pd.DataFrame:
        """Return the active tenants that the database role may see: ``tenant``, ``versions``, ``last_sync_at``."""
        return self._frame_of_each((), TenantRow, lambda session: [_tenant_row(session)])

    def inventory(
        self,
        *tenants: str,
        models: str | Iterable[str] = (),
        stages: str | Iterable[str] = (),
        owners: str | Iterable[str] = (),
        risks: str | Iterable[str] = (),
        badges: str | Iterable[str] = (),
        missing: str | Iterable[str] = (),
        libraries: str | Iterable[str] = (),
        ai_systems: str | Iterable[str] = (),
        frameworks: str | Iterable[str] = (),
        include_deleted: bool = False,
    ) -> pd.DataFrame:
        """Return the model versions of tenants, with stage, owner, risk, badge and times: one row per version.

        Args:
            tenants: The tenants; without any, all that the database role may see.
            models: Names of registered models.
            stages: ``production``, ``staging``, ``development``, ``archived``.
            owners: Persons or teams.
            risks: Risk categories.
            badges: Badges, such as ``failing``, or ``not evaluated``. The error for an unknown badge lists all badges.
            missing: Fields of the record. Only versions without a value in at least one of these fields are returned.
            libraries: MLflow flavors, such as ``sklearn``.
            ai_systems: Names of AI systems.
            frameworks: Governance frameworks. A version is returned if a rule that refers to one of these frameworks
                applies to it.
            include_deleted: Also return versions that MLflow no longer has.
        """
        with translated_errors():
            from verifywise_mlflow.api.frames import frame_of

            versions = VersionFilter(
                models=texts(models),
                stages=texts(stages),
                owners=texts(owners),
                risks=texts(risks),
                badges=closed_words("badges", badges, _BADGES),
                missing=closed_words("missing", missing, OPTIONAL_FIELDS),
                libraries=texts(libraries),
                includes_deleted=include_deleted,
            )
            wanted = InventoryFilter(versions, texts(ai_systems), texts(frameworks))
            names = readable_tenants(self._store, tenants)
            return frame_of(InventoryRow, inventory_of(self._store, names, wanted))

    def prompts(self, *tenants: str, include_deleted: bool = False) -> pd.DataFrame:
        """Return the prompts of the tenants' registries, without their texts: one row per version.

        Args:
            tenants: The tenants; without any, all that the database role may see.
            include_deleted: Also return prompts that MLflow no longer has.
        """
        return self._frame_of_each(
            tenants, PromptRow, lambda session: prompt_rows(session, includes_deleted=include_deleted)
        )

    def agents(self, *tenants: str, include_deleted: bool = False) -> pd.DataFrame:
        """Return the agents of the tenants' servers, registered or not: one row per logged model of the type agent.

        Args:
            tenants: The tenants; without any, all that the database role may see.
            include_deleted: Also return agents that MLflow no longer has.
        """
        return self._frame_of_each(
            tenants, AgentRow, lambda session: agent_rows(session, includes_deleted=include_deleted)
        )

    def gaps(
        self,
        *tenants: str,
        models: str | Iterable[str] = (),
        stages: str | Iterable[str] = (),
        owners: str | Iterable[str] = (),
        risks: str | Iterable[str] = (),
        severities: str | Iterable[str] = (),
        rules: str | Iterable[str] = (),
        ai_systems: str | Iterable[str] = (),
        frameworks: str | Iterable[str] = (),
        min_age_days: int = 0,
        waived: bool | None = None,
    ) -> pd.DataFrame:
        """Return the open gaps, the most urgent first: rule, version, owner, age, waiver.

        Args:
            tenants: The tenants; without any, all that the database role may see.
            models: Names of registered models.
            stages: Lifecycle stages of the versions.
            owners: Owners of the models.
            risks: Risk categories of the versions.
            severities: ``critical``, ``high``, ``medium``, ``low``.
            rules: IDs of rules.
            ai_systems: Names of AI systems.
            frameworks: Governance frameworks that the rule refers to.
            min_age_days: The minimum age in whole days.
            waived: True for the gaps that a waiver covers, False for the gaps that no waiver covers; by default, all
                gaps.
        """
        now = datetime.now(UTC)
        wanted = GapFilter(
            VersionFilter(models=texts(models), stages=texts(stages), owners=texts(owners), risks=texts(risks)),
            severities=closed_words("severities", severities, _SEVERITIES),
            rules=texts(rules),
            ai_systems=texts(ai_systems),
            frameworks=texts(frameworks),
            min_age_days=min_age_days,
            is_waived=waived,
        )
        with translated_errors():
            names = readable_tenants(self._store, tenants)
            require_known_filters(self._store, names, wanted.versions, wanted.rules)
        return self._frame_of_each(names, Gap, lambda session: open_gaps(session, now, wanted))

    def compare(
        self,
        tenant: str,
        model: str,
        first: int | str,
        second: int | str,
        as_of: datetime | str | None = None,
    ) -> pd.DataFrame:
        """Return the values of two versions side by side: metrics, parameters, data, packages, files, verdicts, tags.

        ``differs`` states whether the two values differ. For numbers, ``difference`` states by how much.

        Args:
            tenant: The tenant.
            model: The registered model.
            first: A version, such as ``"champion"``.
            second: Another version, such as ``"challenger"``.
            as_of: Compare the states at this time. Tags are always the tags of the last sync.
        """
        with translated_errors():
            from verifywise_mlflow.api.frames import frame_of

            at = moment(as_of)
            with self._store.begin_snapshot(tenant) as session:
                one, other = (known_version(session, model, version, at) for version in (first, second))
                return frame_of(ComparedValue, compare(session, one, other).values)

    def record(self, tenant: str, model: str, version: int | str, as_of: datetime | str | None = None) -> VersionRecord:
        """Return the record, origins, badge and verdicts of a version, as they are now or were at a given time.

        Raises:
            NotFoundError: There is no such version, or nothing was recorded of it by that time.
        """
        with translated_errors():
            at = moment(as_of)
            with self._store.begin_snapshot(tenant) as session:
                return version_record(known_version(session, model, version, at))

    def records(self, tenant: str, as_of: datetime | str | None = None) -> pd.DataFrame:
        """Return the canonical records of a tenant's versions, now or as of a time: a column for each field."""
        with translated_errors():
            from verifywise_mlflow.persistence.queries import dataframes

            self._resolve(tenant)
            if as_of is None:
                return dataframes.records(self._store, tenant)
            return dataframes.records_as_of(self._store, tenant, moment(as_of))

    def verdicts(self, tenant: str, as_of: datetime | str | None = None) -> pd.DataFrame:
        """Return the verdicts on a tenant's versions, now or as of a time: one row per version and rule."""
        with translated_errors():
            from verifywise_mlflow.persistence.queries import dataframes

            self._resolve(tenant)
            if as_of is None:
                return dataframes.verdicts(self._store, tenant)
            return dataframes.verdicts_as_of(self._store, tenant, moment(as_of))

    def diff(
        self,
        tenant: str,
        since: datetime | str,
        until: datetime | str | None = None,
        *,
        model: str | None = None,
        version: int | str | None = None,
    ) -> pd.DataFrame:
        """Return how records, verdicts and badges differ between two times: one row per value.

        ``kind`` is ``record``, ``verdict`` or ``badge``, and ``subject`` the field or the rule. A change that was
        reversed within the period is left out; ``history`` contains such changes.

        Args:
            tenant: The tenant.
            since: The earlier time.
            until: The later time; by default now.
            model: Only this registered model.
            version: Only this version of it.
        """
        with translated_errors():
            from verifywise_mlflow.api.frames import frame_of_objects

            start, end = moment(since), moment(until)
            if start >= end:
                raise InvalidArgumentError(f"{utc_text(start)} is not before {utc_text(end)}")
            number = self._resolve(tenant, model, version, end)
            with self._store.begin_snapshot(tenant) as session:
                return frame_of_objects(ChangeRow, net_changes(session, Period(start, end, model, number)))

    def history(self, tenant: str, model: str, version: int | str) -> pd.DataFrame:
        """Return every change of a version that syncs have seen, oldest first.

        ``kind`` is ``event``, ``record``, ``verdict``, ``badge`` or ``waiver``, and ``subject`` the field, the rule or
        the event.
        """
        with translated_errors():
            from verifywise_mlflow.api.frames import frame_of_objects

            with self._store.begin_snapshot(tenant) as session:
                key = (model, resolve_version(session, model, str(version)))
                require_recorded(session, key)
                return frame_of_objects(HistoryRow, history_rows(version_history(session, key, datetime.now(UTC))))

    def events(self, tenant: str, model: str | None = None, version: int | str | None = None) -> pd.DataFrame:
        """Return the lifecycle events of a tenant's models and versions, in the order in which syncs saw them.

        Args:
            tenant: The tenant.
            model: Only this registered model.
            version: Only this version of it, including the aliases that moved to it or away from it.
        """
        with translated_errors():
            from verifywise_mlflow.persistence.queries import dataframes

            number = self._resolve(tenant, model, version)
            return dataframes.lifecycle_events(self._store, tenant, model, number)

    def coverage(self, tenant: str, framework: str | None = None) -> pd.DataFrame:
        """Return how many versions show evidence for each clause of each framework: one row per clause.

        Args:
            tenant: The tenant.
            framework: Only this framework, such as ``"EU AI Act"``.
        """
        with translated_errors():
            from verifywise_mlflow.persistence.queries import dataframes

            self._resolve(tenant)
            catalog = stored_catalog(self._store, tenant)
            if framework is not None and framework not in catalog:
                raise unknown_name(f"there is no framework {quote(framework)}", framework, catalog)
            names = catalog if framework is None else [framework]
            return dataframes.framework_coverage(self._store, tenant, [catalog[name] for name in names])

    def lineage(self, tenant: str, model: str | None = None, max_nodes: int = DEFAULT_NODES) -> Lineage:
        """Return what versions were made from: data sets, training runs and files, as a graph.

        Versions in production come first, then versions with an alias, then the newest versions. ``graph.left_out`` is
        a sentence about the nodes beyond ``max_nodes``, which is at most 2,000.
        """
        with translated_errors(), self._store.begin_snapshot(tenant) as session:
            require_known_tenant(session)
            if model is not None:
                require_known_model(session, model)
            try:
                graph = lineage_graph(session, model, max_nodes)
            except ValueError as error:
                raise InvalidArgumentError(str(error)) from error
            return Lineage(tenant=tenant, model_name=model, graph=graph)

    def _frame_of_each(
        self, tenants: Collection[str], row_type: type[R], read: Callable[[TenantSession], Iterable[R]]
    ) -> pd.DataFrame:
        """Read rows of the named tenants, by default of all tenants, and return them as a frame: one row per object."""
        with translated_errors():
            from verifywise_mlflow.api.frames import frame_of

            names = readable_tenants(self._store, tenants)
            return frame_of(row_type, read_each(self._store, names, read))

    def _resolve(
        self,
        tenant: str,
        model: str | None = None,
        version: int | str | None = None,
        at: datetime | None = None,
    ) -> int | None:
        """Return the number of the named version, or None. Raise if a named tenant, model or version does not exist."""
        if version is not None and model is None:
            raise InvalidArgumentError("a version needs its model: pass model, too")
        with self._store.begin_snapshot(tenant) as session:
            require_known_tenant(session)
            if model is None:
                return None
            require_known_model(session, model)
            return None if version is None else resolve_version(session, model, str(version), at)


def _tenant_row(session: TenantSession) -> TenantRow:
    judged = stage_refreshes_of(session).get("compliance_results")
    return TenantRow(session.tenant_id, count_versions(session, None), judged.refreshed_at if judged else None)
