"""The inventory: the listed versions, their columns, and the effect of filters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifywise_mlflow.common.unresolved_names import UnresolvedNameError
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.inventory import InventoryFilter, InventoryRow, inventory, inventory_of
from verifywise_mlflow.services.per_tenant_reading import readable_tenants
from verifywise_mlflow_tests.support.governed_tenants import LONG_NAME, GovernedTenants, governed_tenants
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.stored_states import day


@pytest.fixture(scope="module")
def tenants(postgres: EmbeddedPostgres) -> Iterator[GovernedTenants]:
    with governed_tenants(postgres) as seeded:
        yield seeded


def listed(tenants: GovernedTenants, wanted: InventoryFilter | None = None) -> list[InventoryRow]:
    with tenants.store.begin("acme") as session:
        return list(inventory(session, wanted))


def keys(rows: list[InventoryRow]) -> list[tuple[str, int | None]]:
    return [(row.model_name, row.version_number) for row in rows]


def test_a_version_is_listed_with_what_an_officer_asks_about(tenants: GovernedTenants) -> None:
    version = next(row for row in listed(tenants) if (row.model_name, row.version_number) == ("credit", 2))

    assert version == InventoryRow(
        tenant="acme",
        ai_system="Lending",
        model_name="credit",
        version_number=2,
        lifecycle_stage="production",
        aliases=("champion", "eu"),
        deployment_status="deployed",
        owner="Ops Desk",
        business_purpose=None,
        risk_category="high",
        badge="failing",
        badge_since=day(5),
        libraries=("sklearn",),
        agent=None,
        created_at=day(1),
        last_trained_at=day(1),
        last_changed_at=day(5),
        is_incomplete=False,
        deleted_at=None,
    )


def test_models_are_in_order_the_newest_version_first_and_models_without_versions_last(
    tenants: GovernedTenants,
) -> None:
    assert keys(listed(tenants)) == [
        *(("churn", 1), ("credit", 2), ("credit", 1), (LONG_NAME, 1), ("unjudged", 1), ("empty", None))
    ]


@pytest.mark.parametrize(
    ("wanted", "models"),
    [
        (InventoryFilter(VersionFilter(stages=("production",))), {"credit"}),
        (InventoryFilter(VersionFilter(stages=("production", "archived"))), {"credit"}),
        (InventoryFilter(VersionFilter(owners=("risk team",))), {"credit"}),
        (InventoryFilter(VersionFilter(owners=("*YPERLINK*",))), {LONG_NAME}),
        (InventoryFilter(VersionFilter(owners=("_isk Team", "%"))), set()),
        (InventoryFilter(VersionFilter(risks=("high",))), {"credit"}),
        (InventoryFilter(VersionFilter(badges=("not evaluated",))), {"unjudged"}),
        (InventoryFilter(VersionFilter(badges=("failing",), models=("credit",))), {"credit"}),
        (InventoryFilter(VersionFilter(missing=("owner",))), {"churn", "unjudged"}),
        (InventoryFilter(VersionFilter(missing=("owner", "risk_category"))), {"churn", LONG_NAME, "unjudged"}),
        (InventoryFilter(VersionFilter(missing=("aliases",), stages=("archived",))), {"credit"}),
        (InventoryFilter(VersionFilter(libraries=("SKLEARN",))), {"credit"}),
        (InventoryFilter(VersionFilter(libraries=("*",))), {"credit", "churn"}),
        (InventoryFilter(VersionFilter(models=("c*",))), {"credit", "churn"}),
        (InventoryFilter(VersionFilter(models=("e*",))), {"empty"}),
        (InventoryFilter(ai_systems=("LENDING",)), {"credit"}),
        (InventoryFilter(frameworks=("gdpr",)), {"credit"}),
        (InventoryFilter(frameworks=("NIST AI RMF",)), {"credit", "churn", LONG_NAME}),
        (InventoryFilter(VersionFilter(includes_deleted=True, models=("gone",))), {"gone"}),
    ],
)
def test_filters_narrow_the_inventory(wanted: InventoryFilter, models: set[str], tenants: GovernedTenants) -> None:
    assert {row.model_name for row in listed(tenants, wanted)} == models


def test_a_deleted_version_shows_since_when(tenants: GovernedTenants) -> None:
    (gone,) = listed(tenants, InventoryFilter(VersionFilter(includes_deleted=True, models=("gone",))))

    assert gone.deleted_at == day(5)


@pytest.mark.parametrize("wanted", [InventoryFilter(frameworks=("GDPRR",)), InventoryFilter(ai_systems=("Landing",))])
def test_a_misspelled_name_is_refused_with_a_suggestion(wanted: InventoryFilter, tenants: GovernedTenants) -> None:
    with pytest.raises(UnresolvedNameError, match=r"Did you mean '(GDPR|Lending)'"):
        listed(tenants, wanted)


def test_several_tenants_are_listed_and_a_filter_need_not_fit_each(tenants: GovernedTenants) -> None:
    names = readable_tenants(tenants.store)
    in_system = list(inventory_of(tenants.store, names, InventoryFilter(ai_systems=("Lending",))))

    assert names == ["acme", "globex"]
    assert {row.tenant for row in inventory_of(tenants.store, names)} == {"acme", "globex"}
    assert {row.tenant for row in in_system} == {"acme"}
    with pytest.raises(UnresolvedNameError):
        list(inventory_of(tenants.store, names, InventoryFilter(ai_systems=("Landing",))))


def test_an_unknown_tenant_is_refused_with_a_suggestion(tenants: GovernedTenants) -> None:
    with pytest.raises(UnresolvedNameError, match=r"Did you mean 'globex'"):
        readable_tenants(tenants.store, ["acme", "glodex"])


@pytest.mark.parametrize(
    ("kind", "tenant_id", "seen"), [("pipeline", None, ["acme", "globex"]), ("reader", "globex", ["globex"])]
)
def test_a_role_lists_the_tenants_that_it_may_see(
    kind: role_grants.RoleKind, tenant_id: str | None, seen: list[str], tenants: GovernedTenants
) -> None:
    with login_role(tenants.url, new_name(kind)) as role:
        with tenants.store.begin_shared() as shared:
            role_grants.grant(shared, role.name, kind, tenant_id, day(1))
        with Store(role.url) as store:
            names = readable_tenants(store)
            assert names == seen
            assert {row.tenant for row in inventory_of(store, names)} == set(seen)
