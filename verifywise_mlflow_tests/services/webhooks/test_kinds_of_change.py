"""Measures the table of docs/how-to/webhooks.md: what reports each kind of change in MLflow, and what finds it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from verifywise_mlflow.connector.change_probes import NewestUpdates
from verifywise_mlflow.connector.webhooks import MODEL_EVENTS, PROMPT_EVENTS
from verifywise_mlflow.demo.servers.mlflow_api import MlflowApi
from verifywise_mlflow.services.change_polls import RegistryFingerprints, fetch_fingerprints, fetch_newest_updates
from verifywise_mlflow.services.webhooks.registration import Registration, SecretValues
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.documentation import read_page
from verifywise_mlflow_tests.support.hostile_server import HostileServer, hostile_server, make_response, respond_with
from verifywise_mlflow_tests.support.registry import Registry

ROW: Final = re.compile(r"^\| (?P<change>[^|]+) \| (?P<reported>[^|]+) \| (?P<found>[^|]+) \|$", re.MULTILINE)
DELIVERED_S: Final = 30.0
QUIET_S: Final = 0.2
"""The maximum wait for an expected delivery, and the wait that shows that no delivery arrives."""

Change = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Observation:
    """The results of the reads that polls send, from the cheapest to the most expensive read."""

    newest: NewestUpdates
    listings: RegistryFingerprints
    run: object

    def first_difference(self, after: Observation) -> str:
        """Return the name of the interval by which a change is found."""
        # Only the listings look for a registry's first prompt.
        if self.newest.version != after.newest.version or self.newest.prompt not in (None, after.newest.prompt):
            return "poll"
        if self.listings != after.listings:
            return "listing"
        return "reconcile" if self.run != after.run else "rehash"


@contextmanager
def webhook(tenant: Tenant) -> Iterator[HostileServer]:
    """Register a webhook for all events; yield the server that receives them."""
    with hostile_server(respond_with(make_response("Accepted.", 202, "text/plain"))) as server:
        values = SecretValues("a-path-that-nobody-can-guess", "a-secret-that-nobody-can-guess")
        workspace = tenant.workspace or ""
        events = MODEL_EVENTS + PROMPT_EVENTS
        registration = Registration("acme", tenant.tracking_uri, workspace, server.uri, events, values)
        MlflowApi(tenant.tracking_uri, workspace).register_webhook(registration.document())
        yield server


def changes(registry: Registry, run_id: str) -> Mapping[str, Sequence[Change]]:
    """Return functions that make each kind of change to the model ``churn``, whose first version has the run.

    Changes that no webhook reports come first, so that no late delivery is attributed to them.
    """
    client = registry.client
    return {
        "stage or description of a version": [
            lambda: client.transition_model_version_stage("churn", "1", "Production"),
            lambda: client.update_model_version("churn", "1", "describes it"),
        ],
        "tag or description of a model": [
            lambda: client.set_registered_model_tag("churn", "owner", "ada"),
            lambda: client.update_registered_model("churn", "describes it"),
        ],
        "tags, metrics or parameters of a run": [
            lambda: client.set_tag(run_id, "owner", "ada"),
            lambda: client.log_metric(run_id, "accuracy", 0.5),
            lambda: client.log_param(run_id, "depth", 3),
        ],
        "bytes of a file under an unchanged version": [
            lambda: registry.write(client.get_run(run_id).info.artifact_uri, {"model/model.pkl": b"other bytes"})
        ],
        "deletion of a run": [lambda: client.delete_run(run_id)],
        "deletion of a version or model": [
            lambda: client.delete_model_version("churn", "2"),
            lambda: client.delete_registered_model("spare"),
        ],
        "new name of a model": [lambda: client.rename_registered_model("churn", "renamed")],
        "new model": [lambda: client.create_registered_model("new")],
        "new version": [lambda: client.create_model_version("renamed", "s3://elsewhere/model", await_creation_for=0)],
        "tag of a version, set or deleted": [
            lambda: client.set_model_version_tag("renamed", "1", "owner", "ada"),
            lambda: client.delete_model_version_tag("renamed", "1", "owner"),
        ],
        "alias, set, moved or deleted": [
            lambda: client.set_registered_model_alias("renamed", "champion", "1"),
            lambda: client.set_registered_model_alias("renamed", "champion", "3"),
            lambda: client.delete_registered_model_alias("renamed", "champion"),
        ],
        "first prompt of a registry": [lambda: client.register_prompt("summary", "Summarize {{text}}")],
        "another prompt, new version of a prompt": [
            lambda: client.register_prompt("greeting", "Hello {{name}}"),
            lambda: client.register_prompt("greeting", "Dear {{name}}"),
        ],
        "tag or alias of a prompt": [
            lambda: client.set_prompt_version_tag("summary", "1", "owner", "ada"),
            lambda: client.set_prompt_alias("summary", "production", 1),
        ],
        "deletion of a prompt": [lambda: client.delete_prompt("summary")],
    }


@pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning")
def test_the_page_says_how_soon_each_kind_of_change_is_seen(registry: Registry, tenant: Tenant) -> None:
    run_id = registry.run(files={"model/model.pkl": b"bytes"})
    for source_run in (run_id, None, None):
        registry.version("churn", run_id=source_run)
    registry.client.create_registered_model("spare")
    rows = {row["change"]: row for row in ROW.finditer(read_page("how-to/webhooks.md"))}

    with webhook(tenant) as listener:
        before = observe(tenant, run_id)
        for kind, changes_of_kind in changes(registry, run_id).items():
            is_expected = rows[kind]["reported"] == "seconds"
            for change in changes_of_kind:
                listener.requests.clear()
                change()
                is_reported = await_delivery(listener, DELIVERED_S if is_expected else QUIET_S)
                after = observe(tenant, run_id)
                found_by, before = before.first_difference(after), after

                assert is_reported == is_expected, kind
                assert rows[kind]["found"].startswith(f"`{found_by}`"), (kind, found_by)


def observe(tenant: Tenant, run_id: str) -> Observation:
    reader = open_reader(tenant)
    try:
        run = reader.run(run_id)
    finally:
        reader.close()
    return Observation(fetch_newest_updates(tenant, with_prompts=True), fetch_fingerprints(tenant), run)


def await_delivery(listener: HostileServer, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not listener.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(listener.requests)
