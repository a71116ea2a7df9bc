"""What a waiver is about, when it holds, and what a file may say."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from verifywise_mlflow.compliance.waivers import Waiver, WaiversError, changes, load_waivers

TODAY = date(2026, 3, 1)


def waiver(**said: object) -> Waiver:
    standard = {"rule": "owner", "model": "fraud", "approver": "Ada", "reason": "A pilot.", "expires": date(2026, 3, 9)}
    return Waiver.model_validate({**standard, **said})


@pytest.mark.parametrize(
    ("said", "covered"),
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
def test_a_waiver_is_about_one_rule_and_the_models_of_its_pattern(said: dict[str, object], covered: bool) -> None:
    assert waiver(**said).covers("owner", "fraud", 3) is covered


def test_it_holds_through_its_last_day() -> None:
    assert waiver().ends_at == datetime(2026, 3, 10, tzinfo=UTC)


def test_a_file_grants_what_is_new_and_withdraws_what_it_has_no_longer_and_leaves_expiry_to_the_day() -> None:
    stays, goes, comes = waiver(model="stays"), waiver(model="goes"), waiver(model="comes")
    over_in_file, over_in_store = waiver(model="a", expires=TODAY.replace(day=1, month=2)), waiver(expires="2026-02-01")

    found = changes([stays, goes, over_in_store], [stays, comes, over_in_file], TODAY)

    assert (found.granted, found.withdrawn) == ((comes,), (goes,))


LINE = "{{{tenant}rule: owner, model: fraud, approver: Ada, reason: A pilot., expires: {expires}}}"


def file_with(path: Path, *lines: str) -> Path:
    written = path / "waivers.yaml"
    written.write_text("waivers:\n" + "".join(f"  - {line}\n" for line in lines))
    return written


def test_a_file_for_all_tenants_gives_each_its_own(tmp_path: Path) -> None:
    path = file_with(
        tmp_path,
        LINE.format(tenant="tenant: acme, ", expires="2026-03-09"),
        LINE.format(tenant="tenant: globex, ", expires="2026-03-10"),
    )

    assert load_waivers(path, "acme", is_own=False) == (waiver(),)
    assert load_waivers(path, "hooli", is_own=False) == ()


def test_in_a_file_of_its_own_a_tenant_need_not_be_named(tmp_path: Path) -> None:
    path = file_with(tmp_path, LINE.format(tenant="", expires="2026-03-09"))

    assert load_waivers(path, "acme", is_own=True) == (waiver(),)


@pytest.mark.parametrize(
    ("written", "is_own", "complaint"),
    [
        ("waivers:\n  - {rule: owner}\n", True, "waiver 1: model: Field required"),
        ("waivers:\n  - {rule: owner, modle: a}\n", True, "waiver 1: modle: Extra inputs are not permitted"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='soon')}\n", True, "expires: 'soon' is no day"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='20260309')}\n", True, "expires: '20260309' is no day"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='2026-03-09T10:00:00Z')}\n", True, "is no day"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='9999-12-31')}\n", True, "expires: a waiver has to end"),
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
        ("# none yet\n", True, "where none hold, write waivers: \\[\\]"),
        ("", True, "where none hold"),
        ("waivers:\n", True, "where none hold"),
        ("[" * 5_000, True, "too much within one another"),
        (f"waivers:\n  - {LINE.format(tenant='', expires='2026-03-09')}\n", False, "say whose it is"),
        (f"waivers:\n  - {LINE.format(tenant='tenant: globex, ', expires='2026-03-09')}\n", True, "'acme''s alone"),
        (f"waivers:\n{2 * ('  - ' + LINE.format(tenant='', expires='2026-03-09') + chr(10))}", True, "a second time"),
        ("waivers: [\n", True, "is not YAML"),
        ("- owner\n", True, "write one key 'waivers'"),
        ("waivers:\n  - {rule: owner, model: a, approver: ' ', reason: b, expires: 2026-03-09}\n", True, "approver"),
        (
            'waivers:\n  - {rule: owner, model: a, approver: "\\u200b\\x07", reason: b, expires: 2026-03-09}\n',
            True,
            "approver: write something that can be read",
        ),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, written: str, is_own: bool, complaint: str) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(written)

    with pytest.raises(WaiversError, match=complaint):
        load_waivers(path, "acme", is_own=is_own)


def test_a_list_of_none_has_no_waivers(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text("waivers: []  # none yet\n")

    assert load_waivers(path, "acme", is_own=True) == ()


def test_no_pattern_takes_long_whatever_the_name() -> None:
    pattern = waiver(model="*a" * 900 + "b")

    started = time.perf_counter()

    assert not pattern.covers("owner", "a" * 5_000, 1)
    assert time.perf_counter() - started < 2
