"""The gaps that a waiver covers, the term of a waiver, and the permitted content of a file of waivers."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from verifywise_mlflow.common.waiver_limits import WaiverLimits
from verifywise_mlflow.compliance.waiver_violations import limit_violations
from verifywise_mlflow.compliance.waivers import Waiver, WaiversError, load_waivers, waiver_changes
from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping

TODAY = date(2026, 3, 1)


def waiver(**values: object) -> Waiver:
    standard = {
        "rule": "owner",
        "model": "fraud",
        "approver": "Ada",
        "reason": "A pilot until spring.",
        "expires": date(2026, 3, 9),
    }
    return Waiver.model_validate({**standard, **values})


@pytest.mark.parametrize(
    ("values", "covered"),
    [
        ({}, True),
        ({"rule": "description"}, False),
        ({"version": 3}, True),
        ({"version": 4}, False),
        ({"model": "fra*"}, True),
        ({"model": "*"}, True),
        ({"model": "fr?ud"}, True),
        ({"model": "fr?"}, False),
        ({"model": "Fraud"}, False),
        ({"model": "fr.*"}, False),
        ({"model": "[f]raud"}, False),
        ({"model": "*[*"}, False),
    ],
    ids=str,
)
def test_a_waiver_covers_one_rule_and_the_models_that_match_its_pattern(
    values: dict[str, object], covered: bool
) -> None:
    assert waiver(**values).covers("owner", "fraud", 3) is covered


def test_a_waiver_is_valid_through_its_last_day() -> None:
    assert waiver().ends_at == datetime(2026, 3, 10, tzinfo=UTC)


def test_a_file_grants_new_waivers_and_withdraws_removed_ones_but_ignores_expired_ones() -> None:
    unchanged_waiver, removed_waiver, new_waiver = waiver(model="a"), waiver(model="b"), waiver(model="c")
    expired_in_file, expired_in_store = (
        waiver(model="d", expires=TODAY.replace(day=1, month=2)),
        waiver(expires="2026-02-01"),
    )

    changes = waiver_changes(
        [unchanged_waiver, removed_waiver, expired_in_store], [unchanged_waiver, new_waiver, expired_in_file], TODAY
    )

    assert (changes.granted, changes.withdrawn) == ((new_waiver,), (removed_waiver,))


@pytest.mark.parametrize(
    ("values", "limits", "violations"),
    [
        ({}, {}, []),
        ({"expires": "2027-03-01"}, {}, []),
        (
            {"expires": "2027-03-02"},
            {},
            ["expires: 2027-03-02 is in 366 days, and the tenant's waivers end within 365"],
        ),
        ({"expires": "2026-03-31"}, {"max_days": 30}, []),
        ({"model": "*"}, {}, ["model: '*' is a pattern"]),
        ({"model": "fraud?"}, {}, ["model: 'fraud?' is a pattern"]),
        ({"model": "*"}, {"allow_patterns": True}, []),
        ({"model": "fra[ud]"}, {}, []),  # brackets are not wildcards here
        (
            {"reason": "A pilot."},
            {},
            ["reason: 'A pilot.' has 8 characters, and the tenant's waivers need at least 20"],
        ),
        ({"reason": "A pilot."}, {"min_reason_characters": 8}, []),
        ({"reason": "A pilot" + 20 * " " + "."}, {}, ["has 9 characters"]),
        ({"reason": "TBD"}, {"min_reason_characters": 1}, ["reason: 'TBD' says nothing"]),
        ({"reason": "n/a (see the wiki, to be done)"}, {}, ["says nothing"]),
        ({"reason": "TBD TBD TBD TBD TBD TBD"}, {}, ["says nothing"]),
        ({"reason": "." * 40}, {}, ["says nothing"]),
        ({"reason": "x" * 40}, {}, ["says nothing"]),
        ({"reason": "because because because"}, {}, ["says nothing"]),
        ({"reason": "2026-03-01 00:00:00 ---"}, {}, ["says nothing"]),
        ({"reason": "Ada left"}, {"min_reason_characters": 5}, []),
        ({"reason": "Not approved before the board meets in May."}, {}, []),
        ({"reason": "该模型在六月下线，此前没有负责人。"}, {"min_reason_characters": 10}, []),
        ({"approver": "TBD"}, {}, ["approver: 'TBD' names no person (placeholder)"]),
        ({"approver": "root"}, {}, ["approver: 'root' names no person (generic)"]),
        ({"approver": "Bob"}, {"approvers": ["Ada Lovelace", "Grace"]}, ["name one of 'Ada Lovelace', 'Grace'"]),
        ({"approver": "ada  lovelace"}, {"approvers": ["Ada Lovelace"]}, []),
        ({}, {"approvers": []}, ["approver: nobody may accept a gap of this tenant"]),
        ({"approver": "n/a", "reason": "n/a", "model": "*"}, {}, ["model: ", "approver: ", "reason: "]),
    ],
    ids=str,
)
def test_a_waiver_beyond_its_tenants_limits_is_named_with_what_to_correct(
    values: dict[str, object], limits: dict[str, object], violations: list[str]
) -> None:
    found = limit_violations(
        waiver(**values), WaiverLimits.model_validate(limits), mapping_index(default_mapping()), TODAY
    )

    assert len(found) == len(violations), found
    assert all(expected in sentence for expected, sentence in zip(violations, found, strict=True)), found


LINE = "{{{tenant}rule: owner, model: fraud, approver: Ada, reason: A pilot until spring., expires: {expires}}}"


def file_with(path: Path, *lines: str) -> Path:
    file = path / "waivers.yaml"
    file.write_text("waivers:\n" + "".join(f"  - {line}\n" for line in lines))
    return file


def test_a_shared_file_gives_each_tenant_its_own_waivers(tmp_path: Path) -> None:
    path = file_with(
        tmp_path,
        LINE.format(tenant="tenant: acme, ", expires="2026-03-09"),
        LINE.format(tenant="tenant: globex, ", expires="2026-03-10"),
    )

    assert load_waivers(path, "acme", is_own=False) == {waiver(): f"{path}:2: waiver 1"}
    assert load_waivers(path, "hooli", is_own=False) == {}


def test_a_file_for_one_tenant_does_not_need_its_name(tmp_path: Path) -> None:
    path = file_with(tmp_path, LINE.format(tenant="", expires="2026-03-09"))

    assert load_waivers(path, "acme", is_own=True) == {waiver(): f"{path}:2: waiver 1"}


@pytest.mark.parametrize(
    ("text", "is_own", "message"),
    [
        ("waivers:\n  - {rule: owner}\n", True, "waiver 1: model: this field is required"),
        ("waivers:\n  - {rule: owner, modle: a}\n", True, "waiver 1: modle: there is no such field"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='soon')}\n", True, "expires: 'soon' is not a date"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='20260309')}\n", True, "expires: '20260309' is not a date"),
        (
            f"waivers:\n  - {LINE.format(tenant='', expires='2026-03-09T10:00:00Z')}\n",
            True,
            "is not a date: write it like 2026-12-31",
        ),
        (
            f"waivers:\n  - {LINE.format(tenant='', expires='9999-12-31')}\n",
            True,
            "expires: this is the last day of the calendar",
        ),
        (f"waivers:\n  - {LINE.format(tenant='version: yes, ', expires='2026-03-09')}\n", True, "version: Input"),
        (
            f"waivers:\n  - {LINE.format(tenant='version: 2147483648, ', expires='2026-03-09')}\n",
            True,
            "version: Input",
        ),
        (
            f"waivers:\n  - {LINE.format(tenant='', expires='2026-03-09')}\n  - a\n",
            True,
            "yaml:3: waiver 2: the waiver",
        ),
        ("# none yet\n", True, "without any waiver, write waivers: \\[\\]"),
        ("", True, "without any waiver"),
        ("waivers:\n", True, "without any waiver"),
        ("[" * 5_000, True, "nested too deeply"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='2026-03-09')}\n", False, "name the tenant of the waiver"),
        (
            f"waivers:\n  - {LINE.format(tenant='tenant: globex, ', expires='2026-03-09')}\n",
            True,
            "for tenant 'acme' only",
        ),
        (f"waivers:\n{2 * ('  - ' + LINE.format(tenant='', expires='2026-03-09') + chr(10))}", True, "occurs twice"),
        ("waivers: [\n", True, "is not YAML"),
        ("- owner\n", True, "write one key 'waivers'"),
        ("waivers:\n  - {rule: owner, model: a, approver: ' ', reason: b, expires: 2026-03-09}\n", True, "approver"),
        (
            'waivers:\n  - {rule: owner, model: a, approver: "\\u200b\\x07", reason: b, expires: 2026-03-09}\n',
            True,
            "approver: the text has no visible character",
        ),
    ],
)
def test_an_invalid_file_is_rejected_with_the_error(tmp_path: Path, text: str, is_own: bool, message: str) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(text)

    with pytest.raises(WaiversError, match=message):
        load_waivers(path, "acme", is_own=is_own)


def test_an_empty_list_has_no_waivers(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text("waivers: []  # none yet\n")

    assert load_waivers(path, "acme", is_own=True) == {}


def test_no_pattern_is_slow_on_any_name() -> None:
    pattern = waiver(model="*a" * 900 + "b")

    started_at = time.perf_counter()

    assert not pattern.covers("owner", "a" * 5_000, 1)
    assert time.perf_counter() - started_at < 2
