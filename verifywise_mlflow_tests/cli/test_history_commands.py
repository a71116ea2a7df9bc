"""The command line shows the history of a version to every role that may read the store."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.display import display, display_origin
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.exports.json_documents.changes import DiffDocument, EventsDocument, HistoryDocument
from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.exports.json_documents.shown_version import ShowDocument
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.normalizer.record import FIELDS, FIELDS_BY_GROUP
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.repositories import lifecycle_events, tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.record_inputs_factory import inputs
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width

SINCE_EVER = ("--from", "2026-02-01")

runner = CliRunner(env={"COLUMNS": "200"})


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_width(monkeypatch, 200)


@pytest.fixture
def store_with_history(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two states of a record and three states of its verdicts. There is no tenants.yaml, since a reader has none."""
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    with store.begin("acme") as session:
        tenancy.activate(session, "https://mlflow.acme.example", None, day(1))
    aliases = ("champion", "eu")
    before = inputs(version_tags={"owner": "ada"}, run_tags={}, aliases=aliases, logged_model_tags={})
    write_record(store, before, day(1), metrics={"auc": 0.91})
    write_verdicts(store, {"a": Verdict.FAIL, "dropped": Verdict.PASS}, day(1))
    now = inputs(model_tags={"team": "grace"}, run_tags={}, aliases=aliases, logged_model_tags={})
    write_record(store, now, day(3), metrics={"auc": float("nan")})
    write_verdicts(store, {"a": Verdict.PASS}, day(3), reason="Owned [red]now[/red].")
    return store


def test_show_prints_the_record_as_of_a_time_with_origins(store_with_history: Store) -> None:
    past_result = runner.invoke(app, ["show", "acme", "fraud", "3", "--all", "--as-of", "2026-03-03"])
    now = runner.invoke(app, ["show", "acme", "fraud", "3", "--all"])

    assert (past_result.exit_code, now.exit_code) == (0, 0), past_result.output
    assert re.search(r"owner +ada +version tag owner: 'ada'", past_result.stdout)
    assert "As of 2026-03-03 00:00:00 UTC, unchanged from 2026-03-01 12:00:00 UTC until" in past_result.stdout
    assert "until 2026-03-03 12:00:00 (sync sync of day 3)" in past_result.stdout
    assert "failing from 2026-03-01 12:00:00 UTC until 2026-03-03 12:00:00 UTC: 1 fail, 1 pass" in past_result.stdout
    assert re.search(r"owner +grace +model tag team: 'grace'", now.stdout)
    assert re.search(r'aliases +\["champion", "eu"\] +model aliases', now.stdout)
    assert re.search(r"logged_model_id +m-1 +logged model model_id: 'm-1'", now.stdout)
    assert re.search(r"deployment_status +deployed +alias champion: 'champion'", now.stdout)
    assert re.search(r"a: pass since 2026-03-03\s+Owned \[red\]now\[/red\]\.", now.stdout)


def test_show_prints_the_same_as_json(store_with_history: Store) -> None:
    result = runner.invoke(app, ["show", "acme", "fraud", "3", "--json"])

    output = json.loads(result.stdout)
    assert (output["record"]["owner"], output["record"]["metrics"]) == ("grace", {"auc": "NaN"})
    assert output["origins"]["owner"]["key"] == "team"
    assert [(verdict["rule_id"], verdict["verdict"]) for verdict in output["verdicts"]] == [("a", "pass")]
    assert output["badge"]["span"] == {
        "held_from": "2026-03-03T12:00:00+00:00",
        "sync_id": "sync of day 3",
        "held_until": None,
        "ended_by_sync_id": None,
    }


def test_diff_prints_changed_values_verdicts_and_badges_between_two_times(store_with_history: Store) -> None:
    arguments = ["diff", "acme", "--from", "2026-03-02", "--to", "2026-03-04T00:00+01:00"]

    table, programs = runner.invoke(app, arguments), runner.invoke(app, [*arguments, "--json"])
    before = runner.invoke(app, ["diff", "acme", "--from", "2026-03-02", "--to", "2026-03-03"])

    assert table.exit_code == 0, table.output
    badge = "fraud version 3\n  badge: failing → evidence complete\n"
    assert f"{badge}  owner: ada → grace\n  metrics.auc: 0.91 → nan\n  origins.owner: " in table.stdout
    verdicts = "  rule a: fail → pass\n    Owned [red]now[/red].\n  rule dropped: pass → no longer evaluated\n"
    assert verdicts in table.stdout
    (version,) = json.loads(programs.stdout)["versions"]
    assert {"path": ["metrics", "auc"], "before": 0.91, "after": "NaN"} in version["differences"]
    assert version["badge"] == {"before": "failing", "after": "evidence complete"}
    assert [(entry["rule_id"], entry["before"], entry["after"]) for entry in version["verdicts"]] == [
        ("a", "fail", "pass"),
        ("dropped", "pass", None),
    ]
    assert "No record, no verdict and no badge changed." in before.stdout


def test_diff_says_when_records_begin_and_sums_up_the_first_evaluation(store_with_history: Store) -> None:
    result = runner.invoke(app, ["diff", "acme", "fraud", "champion", "--from", "2026-02-01", "--to", "2026-03-02"])

    assert "nothing was recorded before 2026-03-01 12:00:00 UTC" in result.stdout
    assert "  badge: not evaluated → failing\n  first seen\n  first evaluated: 1 fail, 1 pass\n" in result.stdout


def test_diff_does_not_load_versions_whose_verdicts_are_the_same(store_with_history: Store) -> None:
    write_verdicts(store_with_history, {"a": Verdict.FAIL}, day(4))
    write_verdicts(store_with_history, {"a": Verdict.PASS}, day(5), reason="Owned again.")

    arguments = ["diff", "acme", "--from", "2026-03-04Z", "--to", "2026-03-06Z"]
    result = runner.invoke(app, arguments)
    rows = json.loads(runner.invoke(app, [*arguments, "--json"]).stdout)

    assert rows["versions"] == []
    assert "No record, no verdict and no badge differs between the two times." in result.stdout
    assert "4 changes lie in between: verifywise-mlflow history acme fraud 3" in result.stdout


def test_diff_names_few_of_many_versions_that_changed_back(store_with_history: Store) -> None:
    for on_day, owner in ((1, "ada"), (5, "grace"), (6, "ada")):
        for number in range(1, 13):
            version = ModelVersion(f"model {number}", 3, tags={"owner": owner})
            write_record(store_with_history, RecordInputs(version=version), day(on_day))
    result = runner.invoke(app, ["diff", "acme", "--from", "2026-03-04", "--to", "2026-03-07"])

    assert "24 changes lie in between:" in result.stdout
    assert "verifywise-mlflow history acme 'model 1' 3\n" in result.stdout
    assert result.stdout.count("verifywise-mlflow history") == 10
    assert "and those of 2 more versions" in result.stdout


@pytest.mark.parametrize(
    ("document", "arguments"),
    [
        (ShowDocument, ["show", "acme", "fraud", "3"]),
        (DiffDocument, ["diff", "acme", *SINCE_EVER]),
        (HistoryDocument, ["history", "acme", "fraud", "3"]),
        (EventsDocument, ["events", "acme", "fraud", "3"]),
    ],
)
def test_documents_follow_their_published_schemas(
    store_with_history: Store, document: type[JsonDocument], arguments: list[str]
) -> None:
    moved = LifecycleEvent(EventKind.ALIAS, "fraud", 3, 1, "eu", "2", "3", day(2))
    with store_with_history.begin("acme") as session:
        lifecycle_events.append(session, "sync of day 3", [moved], day(3))

    result = runner.invoke(app, [*arguments, "--json"])

    assert result.exit_code == 0, result.output
    assert check_document(result.stdout)["schema"] == document.schema_id()


def test_diff_writes_a_row_for_each_value_that_differs(store_with_history: Store, tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"

    result = runner.invoke(app, ["diff", "acme", "--from", "2026-03-02Z", "--to", "2026-03-04Z", "--output", str(path)])

    assert result.exit_code == 0, result.output
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["model_name"], row["version_number"]) for row in rows} == {("fraud", "3")}
    assert {
        ("record", "owner", "ada", "grace"),
        ("record", "metrics.auc", "0.91", "NaN"),
        ("badge", "badge", "failing", "evidence complete"),
        ("verdict", "dropped", "pass", ""),
    } <= {(row["kind"], row["subject"], row["before"], row["after"]) for row in rows}
    (origin,) = (row["after"] for row in rows if row["subject"] == "origins.owner")
    assert json.loads(origin)["key"] == "team"


def test_history_writes_all_changes_to_a_table(store_with_history: Store, tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"

    result = runner.invoke(app, ["history", "acme", "fraud", "champion", "--output", str(path)])

    assert result.exit_code == 0, result.output
    rows = pq.read_table(path).to_pylist()
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    changes = [(row["sync_id"], row["kind"], row["subject"], row["before"], row["after"]) for row in rows]
    assert changes[0] == ("sync of day 1", "record", "record", None, "kept")
    assert ("sync of day 3", "verdict", "a", "fail", "pass") in changes
    assert changes[-1] == ("sync of day 3", "badge", "badge", "failing", "evidence complete")


def test_events_writes_all_events_to_a_table(store_with_history: Store, tmp_path: Path) -> None:
    moves = [
        LifecycleEvent(EventKind.ALIAS, "fraud", 3, 1, "eu", str(number), str(number + 1)) for number in range(150)
    ]
    with store_with_history.begin("acme") as session:
        lifecycle_events.append(session, "sync of day 3", moves, day(3))
    path = tmp_path / "events.parquet"

    runner.invoke(app, ["events", "acme", "--output", str(path)])
    every_value = [row["value"] for row in pq.read_table(path).to_pylist()]
    newest = runner.invoke(app, ["events", "acme", "--limit", "2", "--output", str(path)])

    assert every_value == [move.value for move in moves]
    assert newest.stdout == f"Wrote 2 rows to {path}\n"
    assert [(row["kind"], row["alias"], row["value"]) for row in pq.read_table(path).to_pylist()] == [
        ("alias", "eu", "149"),
        ("alias", "eu", "150"),
    ]


def test_an_unknown_tenant_writes_no_table(store_with_history: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    commands = (["diff", "amce", "--from", "2026-03-01"], ["events", "amce"], ["history", "amce", "fraud", "3"])

    results = [runner.invoke(app, [*command, "--output", str(path)]) for command in commands]

    assert [result.exit_code for result in results] == [3, 3, 3]
    assert not path.exists()


def test_history_leaves_out_verdicts_that_need_nobody(store_with_history: Store) -> None:
    short, full = (runner.invoke(app, ["history", "acme", "fraud", "champion", *more]) for more in ((), ("--all",)))

    assert "a: fail → pass" in short.stdout
    assert "dropped: pass" not in short.stdout
    assert "2 verdicts that pass or do not apply are left out: --all prints them" in short.stdout
    assert "dropped: pass → rule no longer evaluated" in full.stdout


def test_history_lists_changes_in_chronological_order(store_with_history: Store) -> None:
    result = runner.invoke(app, ["history", "acme", "fraud", "3", "--json"])
    table = runner.invoke(app, ["history", "acme", "fraud", "3", "--all"])

    changes = [
        (change["at"][8:10], change["what"], change.get("before"), change.get("after"))
        for change in json.loads(result.stdout)["history"]
    ]
    assert changes == [
        ("01", "record", None, None),
        ("01", "verdict", None, "fail"),
        ("01", "verdict", None, "pass"),
        ("01", "badge", None, "failing"),
        ("03", "record", None, None),
        ("03", "verdict", "fail", "pass"),
        ("03", "verdict", "pass", None),
        ("03", "badge", "failing", "evidence complete"),
    ]
    assert "first seen" in table.stdout
    assert "owner: ada → grace" in table.stdout
    assert "dropped: pass → rule no longer evaluated" in table.stdout


def test_a_reader_sees_its_own_tenant_only(
    store_with_history: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(store_with_history, inputs(), day(1), tenant_id="globex")
    commands = (["show", "TENANT", "fraud", "3"], ["history", "TENANT", "fraud", "3"], ["diff", "TENANT", *SINCE_EVER])
    with login_role(database_url, new_name("reader")) as reader:
        with store_with_history.begin_shared() as connection:
            role_grants.grant(connection, reader.name, "reader", "acme", day(1))
        monkeypatch.setenv("VERIFYWISE_DATABASE_URL", reader.url)
        own_output, other_output = (
            [
                runner.invoke(app, [tenant if argument == "TENANT" else argument for argument in command])
                for command in commands
            ]
            for tenant in ("acme", "globex")
        )

    assert [result.exit_code for result in own_output] == [0, 0, 0], [result.output for result in own_output]
    assert [result.exit_code for result in other_output] == [3, 3, 3]
    assert all("fraud version 3" in result.output for result in own_output)
    assert all("or the role in use may not read it" in " ".join(result.output.split()) for result in other_output)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["show", "acme", "fraud", "3", "--as-of", "2026-02-01"], 1, "as of 2026-02-01 00:00:00 UTC; nothing was"),
        (["show", "acme", "fraud", "production", "--as-of", "2026-02-01"], 1, "2026-02-01 00:00:00 UTC; nothing was"),
        (["events", "acme", "--limit", "9223372036854775808"], 2, "--limit"),
        (["audit", "show", "acme", "--limit", "9223372036854775808"], 2, "--limit"),
        (["show", "acme", "fraud", "3", "--as-of", "tomorrow"], 2, "write 2026-03-03"),
        (["events", "acme", "--until", "2999-01-01"], 2, "is still to come"),
        (["audit", "show", "acme", "--since", "2999-01-01"], 2, "is still to come"),
        (["diff", "acme", "--from", "2026-03-03", "--to", "2999-01-01"], 2, "is still to come"),
        (["diff", "acme", "--from", "0001-01-01T00:00+23:00"], 2, "write 2026-03-03"),
        (["diff", "acme", "--from", "2026-03-03", "--to", "2026-03-02"], 2, "does not come after"),
        (["diff", "acme", *SINCE_EVER, "--output", "changes.png"], 2, "end it with .csv, .xlsx or .parquet"),
        (["events", "acme", "--output", "events.csv", "--json"], 2, "use one of them"),
        (["history", "acme", "fraud", "3", "--output", "history"], 2, "end it with .csv, .xlsx or .parquet"),
    ],
)
def test_a_missing_object_is_reported_in_a_sentence(
    store_with_history: Store, arguments: list[str], code: int, sentence: str
) -> None:
    result = runner.invoke(app, arguments)

    assert result.exit_code == code
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_hostile_names_are_escaped(store_with_history: Store) -> None:
    name = "[bold red]x[/]\x1b[31m\u202egnp\n"
    write_record(store_with_history, RecordInputs(version=ModelVersion(name, 1)), day(1))

    outputs = [
        runner.invoke(app, arguments).output
        for arguments in (
            ["show", "acme", name, "1"],
            ["history", "acme", name, "1"],
            ["diff", "acme", "--from", "2026-02-01"],
        )
    ]

    assert all("\x1b" not in output and "\u202e" not in output for output in outputs)
    assert "[bold red]x[/]\\x1b[31m\\u202egnp\\n version 1" in outputs[2]
    assert outputs[0].startswith("[bold red]x[/]\\x1b[31m\\u202egnp\\n version 1")


def test_invisible_characters_are_escaped_and_long_values_truncated() -> None:
    assert escape_invisible("Größe 模型 \ud800\u200b\u2028") == "Größe 模型 \\ud800\\u200b\\u2028"
    assert display("x" * 400).plain == f"{'x' * 300}… (400 characters)"


def test_the_groups_hold_every_field_of_the_record() -> None:
    assert tuple(field for fields in FIELDS_BY_GROUP.values() for field in fields) == FIELDS


def test_an_origin_is_printed_with_its_rule_and_its_link() -> None:
    entry = {"source": "run tag", "key": "owner", "raw": "ada", "rule": "the first", "link": "copied from x"}

    assert display_origin(entry).plain == "run tag owner: 'ada' (the first; copied from x)"


def test_an_origin_says_why_its_text_is_no_value() -> None:
    entry = {"source": "version tag", "key": "owner", "raw": "TBD", "state": "placeholder"}

    assert display_origin(entry).plain == "version tag owner: 'TBD' (a placeholder, which is no value)"


def test_an_origin_says_who_may_be_the_same_person() -> None:
    entry = {"source": "version tag", "key": "approver", "raw": "ada", "same_person_as": ["owner"]}

    unclear = {**entry, "same_person_as": [], "may_be_same_person_as": ["owner", "training_user"]}

    assert display_origin(entry).plain == "version tag approver: 'ada' (the same person as owner)"
    assert (
        display_origin(unclear).plain == "version tag approver: 'ada' (may be the same person as owner, training_user)"
    )
