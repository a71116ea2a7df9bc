"""Prompts of a real registry are stored without their texts, and records state which prompts the registry has."""

from __future__ import annotations

import hashlib
import json

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.services.record_verification.verification import verify_records
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, requests, rows, sync

TEXT = "Write a {{tone}} letter to {{ customer.name }}. Our tariff formula is 4711."
LONGER = "Write a {{tone}} letter."


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def links(store: Store, model: str = "writer") -> list[tuple[object, ...]]:
    """Return the prompts that the record of the first version names: version, alias, state, digest."""
    found = record(store, model)["linked_prompts"]
    assert isinstance(found, list)
    return [(link["version"], link["alias"], link["state"], link["template_sha256"]) for link in found]


def finding_kinds(store: Store, model: str = "writer") -> list[str]:
    found = record(store, model)["findings"]
    assert isinstance(found, list)
    return [finding["kind"] for finding in found]


def test_a_prompt_is_followed_from_its_first_version_to_its_deletion(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    client = registry.client
    client.register_prompt(
        "letter",
        TEXT,
        commit_message="first",
        tags={"team": "care"},
        response_format={"type": "string"},
        model_config={"model_name": "gpt-5", "temperature": 0.2, "api_key": "hunter2"},
    )
    registry.version("writer", tags={"prompt_reference": "prompts:/letter/1"})
    registry.version("reader", tags={"prompt_reference": "prompts:/letter@production"})
    registry.version("churn")
    first = sync(tenant, store)

    # 1. The prompt is stored, without its text.
    (prompt,) = rows(store, "prompts")
    (version,) = rows(store, "prompt_versions")
    assert (prompt["prompt_name"], prompt["deleted_at"]) == ("letter", None)
    assert (version["template_sha256"], version["template_length"]) == (digest(TEXT), len(TEXT))
    assert (version["variables"], version["has_response_format"]) == (["customer.name", "tone"], True)
    assert version["model_config"] == {"api_key": "(not kept)", "model_name": "gpt-5", "temperature": "0.2"}
    assert (version["commit_message"], version["tags"]) == ("first", {"team": "care"})
    assert [row["model_name"] for row in rows(store, "registered_models")] == ["churn", "reader", "writer"]
    with store.begin_shared() as connection:
        dumped = str(connection.execute(text("SELECT * FROM verifywise_mlflow.prompt_versions")).all())
    assert "4711" not in dumped
    assert "hunter2" not in dumped

    # 2. Records state what the registry has of the prompt.
    assert links(store) == [(1, None, "found", digest(TEXT))]
    assert links(store, "reader") == [(None, "production", "not in the registry", None)]
    assert "prompt not in the registry" in finding_kinds(store, "reader")
    assert record(store, "churn")["linked_prompts"] is None

    # 3. An unchanged sync writes nothing and sends no additional request.
    second = sync(tenant, store)
    assert all(report.is_unchanged for report in second.reports)
    assert requests(second) <= requests(first)

    # 4. A second version, and an alias for it: only the record that names the alias changes.
    client.register_prompt("letter", LONGER)
    client.set_prompt_alias("letter", "production", 2)
    before = record(store, "churn")["revision"], record(store, "writer")["revision"]
    sync(tenant, store)
    assert links(store, "reader") == [(2, "production", "found", digest(LONGER))]
    assert "prompt not in the registry" not in finding_kinds(store, "reader")
    assert (record(store, "churn")["revision"], record(store, "writer")["revision"]) == before

    # 5. The text of a version is changed in place: the history has the former digest.
    client.set_prompt_version_tag("letter", 1, "mlflow.prompt.text", "Say nothing.")
    sync(tenant, store)
    assert links(store) == [(1, None, "found", digest("Say nothing."))]
    former = [row for row in rows(store, "prompt_version_history") if row["version_number"] == 1]
    assert [row["template_sha256"] for row in former] == [digest(TEXT)]

    # 6. People and programs see the prompt.
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    shown = CliRunner().invoke(app, ["prompts", "acme", "letter"])
    assert shown.exit_code == 0, shown.output
    for words in ("version 2 @production", digest(LONGER), "used by: reader 1", "Former states", digest(TEXT)[:12]):
        assert words in shown.output
    listed = check_document(CliRunner().invoke(app, ["prompts", "acme", "--json"]).stdout)
    assert [(row["version_number"], row["used_by"]) for row in listed["prompts"]] == [
        (2, ["reader 1"]),
        (1, ["writer 1"]),
    ]
    assert "prompts" in CliRunner().invoke(app, ["show", "acme", "reader", "1"]).output
    lineage = json.loads(CliRunner().invoke(app, ["lineage", "acme", "reader", "--json"]).stdout)
    assert [node["name"] for node in lineage["graph"]["nodes"] if node["kind"] == "prompt"] == ["letter"]

    # 7. A version is deleted, then the whole prompt.
    client.delete_prompt_alias("letter", "production")
    client.delete_prompt_version("letter", "1")
    sync(tenant, store)
    assert links(store) == [(1, None, "deleted", digest("Say nothing."))]
    assert "deleted prompt" in finding_kinds(store)
    client.delete_prompt_version("letter", "2")
    client.delete_prompt("letter")
    sync(tenant, store)
    assert [row["deleted_at"] is not None for row in rows(store, "prompts")] == [True]
    assert CliRunner().invoke(app, ["prompts", "acme"]).output.startswith("The registry has no prompts")

    # 8. The log of states has all of these states.
    report = verify_records(store, "acme")
    assert report.is_intact, report.damages
    with store.begin("acme") as session:
        forge = "UPDATE verifywise_mlflow.prompt_versions SET template_sha256 = 'forged' WHERE version_number = 2"
        session.execute(text(forge))
    (damage, *_) = verify_records(store, "acme").damages
    assert (damage.table, damage.model_name, damage.version_number) == ("prompt_versions", "letter", 2)


def test_a_hinted_prompt_is_read_by_itself(registry: Registry, tenant: Tenant, store: Store) -> None:
    client = registry.client
    for name in ("letter", "other"):
        client.register_prompt(name, TEXT)
    client.set_prompt_alias("letter", "production", 1)
    registry.version("writer", tags={"prompt_reference": "prompts:/letter@production"})
    sync(tenant, store)
    client.register_prompt("letter", LONGER)
    client.set_prompt_alias("letter", "production", 2)
    client.register_prompt("other", LONGER)

    options = SyncOptions(only=(HintedObject(ObjectKind.PROMPT, "letter", 2),))
    targeted = sync(tenant, store, options)

    assert requests(targeted) == 5, "two of the connection, the prompt, and the versions that gained or lost the alias"

    assert links(store) == [(2, "production", "found", digest(LONGER))]
    assert [(row["prompt_name"], row["version_number"]) for row in rows(store, "prompt_versions")] == [
        ("letter", 1),
        ("letter", 2),
        ("other", 1),
    ]
    full = sync(tenant, store)
    assert [(report.stage, report.progress.prompts_changed) for report in full.reports if not report.is_unchanged] == [
        ("model_versions", 2)
    ], "only the prompt that no hint named, and its new version"


def test_a_deleted_prompt_that_is_hinted_is_left_to_a_listing(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.client.register_prompt("letter", TEXT)
    sync(tenant, store)
    registry.client.delete_prompt_version("letter", "1")
    registry.client.delete_prompt("letter")

    sync(tenant, store, SyncOptions(only=(HintedObject(ObjectKind.PROMPT, "letter"),)))

    assert [row["deleted_at"] for row in rows(store, "prompts")] == [None]
