"""The changes that the version poll detects on a real MLflow server."""

from __future__ import annotations

from verifywise_mlflow.connector.change_probes import newest_updates
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry


def test_the_newest_version_timestamp_changes_for_a_new_version_and_not_for_a_tag(
    registry: Registry, tenant: Tenant
) -> None:
    settings = connection_settings(tenant)
    empty = newest_updates(settings).version
    registry.version("churn")
    first = newest_updates(settings).version
    registry.client.set_model_version_tag("churn", "1", "owner", "ann")
    tagged = newest_updates(settings).version
    registry.client.update_model_version("churn", "1", "new description")

    assert empty is None
    assert first is not None
    assert tagged == first
    assert (newest_updates(settings).version or 0) > first


def test_the_newest_updates_are_read_of_a_version_with_a_long_tag_and_of_a_prompt_with_a_long_text(
    registry: Registry, tenant: Tenant
) -> None:
    registry.version("churn", tags={"notes": "x" * 90_000})
    registry.client.register_prompt("summary", "x" * 90_000)

    newest = newest_updates(connection_settings(tenant), with_prompts=True)

    assert None not in (newest.version, newest.prompt)
