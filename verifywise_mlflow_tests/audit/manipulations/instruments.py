"""The checks of manipulated evidence, run as an auditor runs them, each with its result in one line."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from unittest import mock

from typer.testing import CliRunner

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import STATES, AuditEntry
from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.repositories.state_commitments import append_with_states
from verifywise_mlflow_tests.audit.manipulations.evidence import Evidence, run_as_owner
from verifywise_mlflow_tests.audit.manipulations.row_snapshot import disabled_triggers
from verifywise_mlflow_tests.support.documentation import ROOT

NEXT_SYNC = "next-sync"
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_NUMBERS = re.compile(r"\b(entry|event|waiver|configuration|positions?|size) [0-9a-f,]+(?: to [0-9,]+)?")
"""The numbers that differ with each preparation of the evidence."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What ``audit verify`` says about a tenant in the database."""

    exit_code: int
    trail: str
    """The outcome of the trail; if it is damaged, the kind of damage."""
    records: list[str]
    """With ``--records``, the damaged rows: what happened, where, and to which fields; and the accepted states."""


def examine(evidence: Evidence, *options: str) -> Examination:
    """Run ``audit verify`` with the auditor's key and other options."""
    result = CliRunner().invoke(app, ["audit", "verify", "acme", *public_key(evidence), *options, "--json"])
    if not result.stdout and result.exception:
        raise result.exception
    report = json.loads(result.stdout)
    records = report.get("records", {"damages": [], "accepted": []})
    accepted = [_accepted(state) for part in records["accepted"] for state in part["states"]]
    trail = report["damage"]["kind"] if report["damage"] else report["outcome"]
    return Examination(result.exit_code, trail, [*dict.fromkeys((*map(_row, records["damages"]), *accepted))])


def public_key(evidence: Evidence) -> tuple[str, str]:
    """Return the options with the auditor's key."""
    return ("--public-key", str(evidence.folder / "public.pem"))


def saved_checkpoint(evidence: Evidence) -> tuple[str, str]:
    """Return the options with a checkpoint that the auditor has."""
    return ("--checkpoint", str(evidence.folder / "witness-acme.jsonl"))


def next_commitment(evidence: Evidence) -> str:
    """Return why the next sync commits no states, or the other syncs whose states it commits; empty for neither."""
    now = datetime.now(UTC)
    with evidence.rolled_back() as session:
        state_log.append(session, [State("lifecycle event", "credit", 1, "next", now, NEXT_SYNC, "00" * 32)])
        entry = AuditEntry("acme", now, "sync ended", NEXT_SYNC, "https://mlflow.example", "complete", __version__)
        appended = append_with_states(session, entry)
        committed = appended.counts.get(STATES, {})
        assert isinstance(committed, dict)
        return appended.reason or ", ".join(f"commits states of {sync_id}" for sync_id in committed.get("syncs", []))


def committed_current(evidence: Evidence, sql: str) -> object:
    """Return the root of current states that the next sync commits after a manipulation; None if it commits none."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    with evidence.rolled_back() as session, disabled_triggers(session.connection):
        run_as_owner(session, sql)
        state_log.append(session, [State("lifecycle event", "credit", 1, "next", at, NEXT_SYNC, "00" * 32)])
        entry = AuditEntry("acme", at, "sync ended", NEXT_SYNC, "https://mlflow.example", "complete", __version__)
        committed = append_with_states(session, entry).counts.get(STATES, {})
        assert isinstance(committed, dict)
        return committed.get("current")


def run_script(name: str, *arguments: str) -> tuple[int, str]:
    """Run a script of ``tools/`` in this process; return its exit code and what it prints."""
    output = StringIO()
    with mock.patch("sys.argv", [name, *arguments]), redirect_stdout(output), redirect_stderr(output):
        try:
            runpy.run_path(str(ROOT / "tools" / name), run_name="__main__")
            code: object = 0
        except SystemExit as error:
            code = error.code
    if isinstance(code, str):
        return 1, output.getvalue() + code
    return int(code or 0), output.getvalue()  # type: ignore[call-overload]


def _accepted(state: Mapping[str, Any]) -> str:
    parts = ("accepted state_log", state["model_name"], state["version_number"] or "", state["kind"])
    return " ".join(f"{part}" for part in parts if part != "")


def _row(damage: Mapping[str, Any]) -> str:
    version = damage["version_number"] or ""
    fields = ", ".join(change["name"] for change in damage["fields"])
    name = _MODEL_ID.sub("m-…", damage["model_name"])
    where = (damage["table"], name, version, _NUMBERS.sub(r"\1", damage["row"]))
    return " ".join(f"{part}" for part in (damage["kind"], *where, f"({fields})" * bool(fields)) if part != "")
