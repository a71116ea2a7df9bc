"""Agents of a real server are stored, registered or not, with the prompts that they use and what was registered."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from mlflow.entities import LoggedModelStatus
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.services.record_verification.verification import verify_records
from verifywise_mlflow.tenants.tenant import Agents, Tenant
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.proxy import Choice, Exchange, Fault, always, proxy_before, saying
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import requests, rows, sync

RECONCILE = SyncOptions(reconcile=True)
SECRET = "AKIA" + "Z7QK3M5RT2WX4Y6P"
HOSTILE = "\x1b[31m\u202e<script>'; DROP TABLE agents; --\x00"


def agent(registry: Registry, name: str, *, experiment: str = "bots", **values: Any) -> str:
    """Log an agent whose code is elsewhere, as ``mlflow.create_external_model`` does; return its ID."""
    experiment_id = registry.client.create_experiment(experiment)
    logged = registry.client.create_logged_model(experiment_id, name=name, model_type="agent", **values)
    registry.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)


def states(store: Store) -> dict[str, bool]:
    """Return the names of all stored agents, and whether each lives."""
    return {str(row["name"]): row["deleted_at"] is None for row in rows(store, "agents")}


def test_an_agent_is_followed_from_its_first_listing_to_its_deletion(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    client = registry.client
    client.register_prompt("letter", "Write to {{name}}. The formula is 4711.")
    bot = agent(registry, "support-bot", params={"llm": "gpt-5"}, tags={"owner": "care", "note": f"key {SECRET}"})
    client.link_prompt_version_to_model("letter", "1", bot)
    agent(registry, "shadow-bot", experiment="playground")
    client.create_registered_model("bot")
    client.create_model_version("bot", f"models:/{bot}", model_id=bot, await_creation_for=0)
    registry.version("churn")
    first = sync(tenant, store)

    # 1. Both agents are stored, including the agent that was never registered. No secret is stored.
    stored = {row["name"]: row for row in rows(store, "agents")}
    shown = stored["support-bot"]
    assert (shown["status"], shown["experiment_name"], shown["params"]) == ("READY", "bots", {"llm": "gpt-5"})
    assert shown["linked_prompts"] == [
        {
            "name": "letter",
            "version": 1,
            "alias": None,
            "state": "found",
            "template_sha256": rows(store, "prompt_versions")[0]["template_sha256"],
        }
    ]
    assert stored["shadow-bot"]["linked_prompts"] is None
    assert SECRET not in str(stored)
    assert [report.stage for report in first.reports if report.progress.agents_changed] == ["training_runs"]

    # 2. An ordinary sync sends no request for them, and a reconcile that finds nothing new writes nothing.
    client.set_logged_model_tags(bot, {"owner": "desk"})
    second = sync(tenant, store)
    assert all(report.is_unchanged for report in second.reports)
    assert requests(second) < requests(first)
    assert rows(store, "agent_history") == []

    # 3. A reconcile reads a new tag, although MLflow changes no timestamp for it; the history has the former state.
    sync(tenant, store, RECONCILE)
    assert [row["tags"]["owner"] for row in rows(store, "agent_history")] == ["care"]  # type: ignore[index]  # JSON
    assert all(report.is_unchanged for report in sync(tenant, store, RECONCILE).reports)

    # 4. People and programs see the agents.
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    page = CliRunner().invoke(app, ["agents", "acme", "support-bot"])
    assert page.exit_code == 0, page.output
    for words in (bot, "prompts: letter 1", "registered as: bot 1", "parameters: llm=gpt-5", "Former states", "care"):
        assert words in page.output
    listed = check_document(CliRunner().invoke(app, ["agents", "acme", "--json"]).stdout)
    assert [(row["agent_name"], row["registered_as"]) for row in listed["agents"]] == [
        ("shadow-bot", []),
        ("support-bot", ["bot 1"]),
    ]
    inventory = json.loads(CliRunner().invoke(app, ["inventory", "acme", "--json"]).stdout)
    assert {row["model_name"]: row["agent"] for row in inventory["versions"]} == {"bot": "support-bot", "churn": None}
    lineage = json.loads(CliRunner().invoke(app, ["lineage", "acme", "bot", "--json"]).stdout)["graph"]
    kinds = {node["id"]: node["kind"] for node in lineage["nodes"]}
    edges = {(kinds[edge["source"]], kinds[edge["target"]]) for edge in lineage["edges"]}
    assert {("prompt", "agent"), ("agent", "version")} <= edges
    assert ("prompt", "version") not in edges
    assert "support-bot" in CliRunner().invoke(app, ["lineage", "acme", "bot"]).output

    # 5. One agent is deleted: it gets a tombstone, and its history stays.
    client.delete_logged_model(bot)
    sync(tenant, store, RECONCILE)
    assert states(store) == {"support-bot": False, "shadow-bot": True}

    # 6. The log of states has all of these states.
    report = verify_records(store, "acme")
    assert report.is_intact, report.damages
    with store.begin("acme") as session:
        session.execute(text("UPDATE verifywise_mlflow.agents SET status = 'FAILED' WHERE name = 'shadow-bot'"))
    (damage, *_) = verify_records(store, "acme").damages
    assert (damage.table, damage.model_name) == ("agents", stored["shadow-bot"]["model_id"])


def missing(model_id: str, read: Fault) -> Choice:
    """Choose the faults of a server whose search shows no agent, and whose response to a request by ID is ``read``."""

    def choose(exchange: Exchange) -> Fault | None:
        if exchange.kind.endswith("logged-models/search"):
            return saying(200, "{}")
        return read if model_id in exchange.path else None

    return choose


def test_what_cannot_be_read_is_not_gone(registry: Registry, tenant: Tenant, store: Store, mlflow_uri: str) -> None:
    bot = agent(registry, "support-bot")
    with proxy_before(mlflow_uri) as proxy:
        proxied = tenant.model_copy(update={"tracking_uri": proxy.uri})
        sync(proxied, store)
        assert states(store) == {"support-bot": True}

        # 1. The search fails, or is no longer offered: nothing is concluded.
        for status in (403, 500, 404):
            proxy.fault = always(saying(status, "{}"), "logged-models/search")
            sync(proxied, store, RECONCILE)
            assert states(store) == {"support-bot": True}

        # 2. The search shows nothing, and the server refuses the agent itself.
        proxy.fault = missing(bot, saying(403, "{}"))
        sync(proxied, store, RECONCILE)
        assert states(store) == {"support-bot": True}

        # 3. It is missing in both responses.
        proxy.fault = missing(bot, saying(404, '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}'))
        sync(proxied, store, RECONCILE)
        assert states(store) == {"support-bot": False}

        # 4. It is back.
        proxy.fault = lambda _: None
        sync(proxied, store, RECONCILE)
        assert states(store) == {"support-bot": True}


def test_a_tenant_decides_in_which_experiments_agents_are_listed(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(experiment="production")
    registry.version("churn", run_id=run_id)
    agent(registry, "private-bot", experiment="playground")
    experiment_id = registry.client.get_run(run_id).info.experiment_id
    registry.client.create_logged_model(experiment_id, name="desk-bot", model_type="AGENT", source_run_id=run_id)

    def listed(experiments: Literal["all", "registry", "none"]) -> dict[str, bool]:
        sync(tenant.model_copy(update={"agents": Agents(experiments=experiments)}), store, RECONCILE)
        return states(store)

    assert listed("none") == {}
    assert listed("registry") == {"desk-bot": True}
    assert listed("all") == {"desk-bot": True, "private-bot": True}
    assert listed("registry") == {"desk-bot": True, "private-bot": True}, "what is not searched is not gone"


def test_hostile_values_are_bounded_and_shown_escaped(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    linked = json.dumps([{"name": HOSTILE, "version": "x" * 400}, {"name": "letter", "version": "1"}, 7])
    agent(
        registry,
        "bot \x1b[31m\u202e<script>",
        params={f"p{number:04}": "v" * 600 for number in range(300)},
        tags={"mlflow.linkedPrompts": linked, "note": HOSTILE},
    )
    sync(tenant, store)

    (row,) = rows(store, "agents")
    assert isinstance(row["params"], dict)
    assert len(row["params"]) == 200
    assert max(map(len, row["params"].values())) <= 501
    assert [link["name"] for link in row["linked_prompts"] or ()] == ["letter"]  # type: ignore[attr-defined]  # JSON
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    for arguments in (["agents", "acme"], ["agents", "acme", str(row["model_id"])]):
        page = CliRunner().invoke(app, arguments)
        assert page.exit_code == 0, page.output
        assert "\x1b[31m" not in page.output
        assert "\u202e" not in page.output
