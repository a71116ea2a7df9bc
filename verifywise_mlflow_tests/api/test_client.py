"""The public Python API returns frames and values, and refuses arguments without a meaning."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

import verifywise_mlflow as vm
from verifywise_mlflow_tests.api import python_page
from verifywise_mlflow_tests.support.documentation import generated_part, read_page
from verifywise_mlflow_tests.support.read_side_bank import Bank

SLOW_IMPORTS = ("dagster", "mlflow", "pandas", "pydantic", "sqlalchemy")


def row_of(frame: pd.DataFrame, **values: object) -> Mapping[Hashable, Any]:  # Any: cells of any type
    """Return the only row with these values."""
    for name, value in values.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict("records")
    return row


@pytest.fixture
def client(synced_bank: Bank) -> Iterator[vm.Client]:
    with vm.connect() as client:
        yield client


def test_the_inventory_says_who_owns_what_is_in_production(client: vm.Client) -> None:
    inventory = client.inventory("acme", stages="production")

    owners = dict(zip(inventory.model_name, inventory.owner, strict=True))
    assert owners == {"churn": "Marketing", "credit-scoring": "Credit Risk", "fraud": None}
    assert inventory.aliases.tolist()[1] == ("champion",)


def test_without_tenants_all_that_the_role_may_see_are_read(client: vm.Client) -> None:
    assert set(client.inventory().tenant) == {"acme", "globex"}
    assert client.tenants().set_index("tenant").versions.to_dict() == {"acme": 5, "globex": 1}


def test_gaps_say_since_when_they_are_open_and_who_accepts_them(client: vm.Client, synced_bank: Bank) -> None:
    gaps = client.gaps("acme", rules=["production-privacy-assessment", "dataset-reference"])

    lacking = row_of(gaps, model_name="fraud", rule_id="production-privacy-assessment")
    assert lacking["age_days"] >= 39
    assert abs(lacking["opened_at"] - synced_bank.first_sync) < timedelta(minutes=5)
    assert gaps[gaps.model_name == "notes"].waiver_approver.tolist() == ["Ada Lovelace"]


def test_a_record_is_what_was_known_at_a_time(client: vm.Client) -> None:
    before, now = (client.record("acme", "credit-scoring", "champion", as_of=at) for at in ("30d", None))

    assert (before["compliance_approver"], now["compliance_approver"]) == (None, "Grace Hopper")
    assert now.origins["compliance_approver"]["key"] == "approved_by"
    assert {gap.rule_id for gap in now.gaps} < {verdict.rule_id for verdict in now.verdicts}
    assert any("Annex IV(2)(g)" in clause for verdict in now.verdicts for clause in verdict.clauses)
    assert vm.VersionRecord.model_validate_json(now.model_dump_json()).model_name == "credit-scoring"


def test_records_and_verdicts_are_tables_of_any_time(client: vm.Client) -> None:
    before, now = (row_of(client.records("acme", as_of=at), model_name="fraud") for at in ("30d", None))

    assert before["owner"] == "Payments"
    assert pd.isna(now["owner"])
    assert len(client.verdicts("acme", as_of="30d")) == len(client.verdicts("acme"))


def test_a_diff_has_records_verdicts_and_badges(client: vm.Client) -> None:
    changes = client.diff("acme", "1d")

    owner = row_of(changes, model_name="fraud", kind="record", subject="owner")
    assert (owner["before"], owner["after"]) == ("Payments", None)
    assert row_of(changes, model_name="fraud", kind="verdict", subject="owner")["before"] == "pass"
    assert "record" not in set(client.diff("acme", "1d", model="churn").kind)


def test_a_comparison_has_the_difference_of_numbers(client: vm.Client) -> None:
    values = client.compare("acme", "credit-scoring", "champion", "challenger")

    assert row_of(values, section="metrics", name="auc")["difference"] == pytest.approx(0.03)


def test_a_history_begins_with_what_was_first_seen(client: vm.Client) -> None:
    history = client.history("acme", "fraud", 1)

    assert history["at"].is_monotonic_increasing
    owner = history[(history.kind == "verdict") & (history.subject == "owner")]
    assert owner[["before", "after"]].values.tolist()[0] == [None, "pass"]
    assert owner[["before", "after"]].values.tolist()[1][0] == "pass"
    assert {"event", "record", "verdict", "badge"} <= set(history.kind)


def test_events_and_coverage_are_tables(client: vm.Client) -> None:
    events = client.events("acme", "credit-scoring", "challenger")
    coverage = client.coverage("acme", "EU AI Act")

    assert "challenger" in events.alias.tolist()
    assert coverage.framework.unique().tolist() == ["EU AI Act"]
    assert coverage.versions.max() == 5


def test_a_lineage_names_the_data_sets_that_models_share_and_is_a_picture(client: vm.Client) -> None:
    lineage = client.lineage("acme", "fraud")

    shared = {data_set.name: data_set.models for data_set in lineage.graph.shared_datasets}
    assert shared == {"loans": ("credit-scoring", "fraud"), "customers": ("churn", "fraud")}
    assert ET.fromstring(lineage.to_svg()).get("role") == "img"
    assert "loans" in lineage.to_mermaid()
    assert "loans" in lineage.to_dot()


def test_columns_have_their_types_without_rows(client: vm.Client) -> None:
    gaps = client.gaps("acme", models="nothing*")

    assert gaps.empty
    assert {name: str(gaps[name].dtype) for name in ("opened_at", "age_days", "may_be_older")} == {
        "opened_at": "datetime64[us, UTC]",
        "age_days": "Int64",
        "may_be_older": "boolean",
    }


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("inventory", ("acmee",), "acme"),
        ("record", ("acme", "credit-scorin", 1), "credit-scoring"),
        ("record", ("acme", "credit-scoring", "champoin"), "champion"),
        ("record", ("acme", "credit-scoring", 1, "2020-01-01"), "nothing was recorded"),
        ("history", ("acme", "fraud", 9), "versions are 1"),
        ("lineage", ("acme", "frod"), "fraud"),
        ("verdicts", ("nobody",), "no tenant"),
    ],
)
def test_a_name_that_does_not_exist_is_not_found(
    client: vm.Client, name: str, arguments: tuple[object, ...], hint: str
) -> None:
    with pytest.raises(vm.NotFoundError, match=hint):
        getattr(client, name)(*arguments)


@pytest.mark.parametrize(
    ("since", "hint"),
    [
        ("next week", "is not a time"),
        (datetime.now(UTC) + timedelta(days=1), "still to come"),
        (datetime(2026, 3, 3), "no zone"),
    ],
)
def test_a_time_without_a_meaning_is_refused(client: vm.Client, since: object, hint: str) -> None:
    with pytest.raises(vm.InvalidArgumentError, match=hint):
        client.diff("acme", since)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "filters", "hint"),
    [
        ("inventory", {"badges": "falling"}, "did you mean 'failing'"),
        ("inventory", {"missing": ["owner", "onwer"]}, "did you mean 'owner'"),
        ("gaps", {"severities": "urgent"}, "critical"),
    ],
)
def test_a_misspelled_word_of_a_filter_is_refused_rather_than_matching_nothing(
    client: vm.Client, name: str, filters: dict[str, object], hint: str
) -> None:
    with pytest.raises(vm.InvalidArgumentError, match=hint):
        getattr(client, name)("acme", **filters)


def test_an_unusable_database_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(vm.StoreError, match="VERIFYWISE_DATABASE_URL"):
        vm.connect()
    with pytest.raises(vm.VerifyWiseError, match="cannot be reached"):
        vm.connect("postgresql://nobody@127.0.0.1:1/none")


def test_importing_the_package_costs_nothing_and_every_public_name_exists() -> None:
    program = (
        f"import sys, verifywise_mlflow as vm; print(*({set(SLOW_IMPORTS)!r} & sys.modules.keys())); "
        "print(all(hasattr(vm, name) for name in vm.__all__), 'pandas' in sys.modules)"
    )

    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert output.splitlines() == ["", "True False"]


@pytest.mark.parametrize("part", python_page.PARTS)
def test_the_reference_page_is_that_of_the_docstrings(part: str) -> None:
    generated = "\n".join(python_page.PARTS[part]())

    assert generated_part(read_page(python_page.PAGE), part) == generated


def test_every_public_method_and_parameter_is_documented() -> None:
    for name, method in python_page.methods().items():
        documentation = method.__doc__ or ""
        assert documentation, name
        if "Args:" in documentation:
            parameters = set(method.__annotations__) - {"return"}
            assert {parameter for parameter in parameters if f"{parameter}:" not in documentation} == set(), name
