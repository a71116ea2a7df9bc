"""The record of a generative model has the prompts, with their versions, that MLflow's own client records."""

from __future__ import annotations

import json

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync

MLMODEL = b"""\
flavors:
  python_function: {loader_module: mlflow.pyfunc.loaders.responses_agent, python_version: 3.11.7}
metadata: {task: agent/v1/responses}
mlflow_version: 3.17.2
prompts: ['prompts:/triage/1']
"""


def test_the_prompts_that_mlflow_links_fill_the_field_with_their_versions(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    client = registry.client
    for template in ("Sum up {{text}}", "Sum up {{text}} in a line"):
        client.register_prompt("summary", template)
    run_id = registry.run()
    model_id = registry.logged_model(run_id)
    client.link_prompt_version_to_model("summary", "2", model_id)
    client.create_registered_model("assistant")
    client.create_model_version("assistant", f"models:/{model_id}", run_id, model_id=model_id, await_creation_for=0)
    by_run = registry.run(experiment="triage", files={"model/MLmodel": MLMODEL})
    client.link_prompt_version_to_run(by_run, "prompts:/summary/1")
    registry.version("triage", run_id=by_run, source=f"runs:/{by_run}/model")
    linked_by_run = registry.run()
    client.link_prompt_version_to_run(linked_by_run, "prompts:/summary/1")
    registry.version("letters", run_id=linked_by_run, source="s3://elsewhere/model")

    sync(tenant, store)

    records = {row["model_name"]: row for row in rows(store, "canonical_records")}
    origins = {name: json.loads(json.dumps(row["origins"])) for name, row in records.items()}
    assert {
        name: (row["prompt_reference"], origins[name]["prompt_reference"]["source"]) for name, row in records.items()
    } == {
        "assistant": ("prompts:/summary/2", "logged model"),
        "triage": ("prompts:/triage/1", "artifact"),
        "letters": ("prompts:/summary/1", "run tag"),
    }
    assert {name: row["model_kind"] for name, row in records.items()} == {
        "assistant": "predictive",  # the flavor scikit-learn of its files says so
        "triage": "generative",
        "letters": "generative",
    }
