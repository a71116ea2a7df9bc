"""A file of waivers: when a sync reads it, what the trail records about it, and which problems withdraw no waiver."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import (
    InvalidWaiversFileError,
    WaiverCommandError,
    grant_waiver,
    violations_in_file,
)
from verifywise_mlflow_tests.pipeline.waived_pilot import (
    LINE,
    WAIVER,
    file_of,
    open_and_waived,
    pilot_tenant,
    waiver_entries,
)
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    store_record,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day
from verifywise_mlflow_tests.support.syncing import rows


def test_a_file_next_to_tenants_yaml_is_read_unless_the_tenant_names_its_own(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))
    (tmp_path / "waivers.yaml").write_text("waivers:\n  - " + LINE.replace("{rule", "{tenant: acme, rule") + "\n")

    evaluate(pilot_tenant(), store, day(1))
    assert [row["approver"] for row in rows(store, "waivers")] == ["Ada"]

    evaluate(pilot_tenant(waivers=str(file_of(tmp_path))), store, day(2))
    assert [row["end_reason"] for row in rows(store, "waivers")] == ["withdrawn"]


def test_a_missing_file_stops_the_stage_before_it_withdraws_anything(store: Store, tmp_path: Path) -> None:
    path = file_of(tmp_path, LINE)
    tenant = pilot_tenant(waivers=str(path))
    evaluate(tenant, store, day(1))
    path.unlink()

    with pytest.raises(InvalidWaiversFileError, match="cannot be read"):
        evaluate(tenant, store, day(2))

    assert [row["end_reason"] for row in rows(store, "waivers")] == [None]


def test_a_waiver_for_an_unknown_rule_is_noted(store: Store, tmp_path: Path) -> None:
    tenant = pilot_tenant(waivers=str(file_of(tmp_path, LINE.replace("owner", "ownr"))))

    sync = evaluate(tenant, store, day(1))

    assert [note.text for note in sync.reports[0].progress.notes] == [
        "a waiver names the rule 'ownr', which no policy of the tenant has"
    ]


def test_a_waiver_that_expired_before_it_was_read_is_noted_and_never_applies(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON)
    tenant = pilot_tenant(waivers=str(file_of(tmp_path, LINE)))

    sync = evaluate(tenant, store, day(4))

    assert [note.text for note in sync.reports[0].progress.notes] == [
        "the waiver for owner on fraud* had expired before it was first read: it never applied"
    ]
    assert rows(store, "waivers") == []


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({}, "model: 'fraud*' is a pattern"),
        (
            {"allow_patterns": True, "max_days": 1},
            "expires: 2026-03-03 is in 2 days, and the tenant's waivers end within",
        ),
        ({"allow_patterns": True, "approvers": ["Grace"]}, "approver: 'Ada' may not accept gaps of this tenant"),
        ({"allow_patterns": True, "min_reason_characters": 30}, "reason: 'A pilot until spring.' has 21 characters"),
    ],
    ids=str,
)
def test_a_waiver_beyond_new_limits_is_withdrawn_and_not_granted_again(
    store: Store, tmp_path: Path, limits: dict[str, object], complaint: str
) -> None:
    store_record(store, "fraud", 1, NOON)
    path = file_of(tmp_path, LINE)
    evaluate(pilot_tenant(waivers=str(path)), store, day(1))
    grant_waiver(store, pilot_tenant(), WAIVER.model_copy(update={"version": 1}), day(1))
    strict = pilot_tenant(waivers=str(path), waiver_limits=limits)

    notes = [note.text for note in evaluate(strict, store, day(1)).reports[0].progress.notes]
    again = evaluate(strict, store, day(1))

    assert [row["end_reason"] for row in rows(store, "waivers")] == ["withdrawn", "withdrawn"]
    assert open_and_waived(store, day(1)) == (1, 0)
    of_command, of_file = notes
    assert of_command.startswith(
        "waiver 2 for owner on fraud* version 1 was withdrawn: it exceeds the tenant's limits: "
    )
    assert of_file.startswith(f"{path}:2: waiver 1 does not apply: it exceeds the tenant's limits: ")
    assert all(complaint in note for note in notes)
    assert [note.text for note in again.reports[0].progress.notes] == [of_file]
    kinds = [kind for kind, _ in waiver_entries(store)]
    assert kinds == ["waiver granted", "waiver granted", "waiver withdrawn", "waiver withdrawn"]
    with pytest.raises(WaiverCommandError, match=complaint.split("*")[0]):
        grant_waiver(store, strict, WAIVER, day(1))
    assert violations_in_file(strict, day(1)) == [
        f"{path}:2: waiver 1: {line}" for line in [of_file.split("limits: ")[1]]
    ]


@pytest.mark.parametrize("broken", ["", "waivers:\n", "waivers: [", "waivers:\n  - {rule: owner}\n"])
def test_a_broken_file_withdraws_nothing(store: Store, tmp_path: Path, broken: str) -> None:
    store_record(store, "fraud", 1, NOON)
    path = file_of(tmp_path, LINE)
    evaluate(pilot_tenant(waivers=str(path)), store, day(1))
    path.write_text(broken)

    with pytest.raises(InvalidWaiversFileError, match=r"own\.yaml"):
        evaluate(pilot_tenant(waivers=str(path)), store, day(2))

    assert open_and_waived(store, day(2)) == (0, 1)


def test_a_dangling_link_next_to_tenants_yaml_withdraws_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a link exists if a volume is mounted late."""
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))
    (tmp_path / "waivers.yaml").symlink_to(tmp_path / "..data" / "waivers.yaml")

    with pytest.raises(InvalidWaiversFileError, match="cannot be read"):
        evaluate(pilot_tenant(), store, day(2))
