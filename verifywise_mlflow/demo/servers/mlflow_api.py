"""A client of the REST API of the demo's MLflow server, for changes that people make: tags and webhooks.

MLflow's own client takes two seconds and 170 MB to import.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import urllib3

from verifywise_mlflow.demo.errors import DemoError


class MlflowApi:
    """A workspace of an MLflow server, which this client may change."""

    def __init__(self, tracking_uri: str, workspace: str) -> None:
        """Use the workspace. Nothing is sent yet."""
        self._base = f"{tracking_uri}/api/2.0/mlflow/"
        self._headers = {"Content-Type": "application/json", "X-MLFLOW-WORKSPACE": workspace}
        self._http = urllib3.PoolManager(retries=False, timeout=30)

    def version_tags(self, model: str, number: int) -> dict[str, str]:
        """Return the tags of a version."""
        path = f"model-versions/get?name={model}&version={number}"
        version = self._send("GET", path)["model_version"]
        tags = version.get("tags", []) if isinstance(version, dict) else []
        return {tag["key"]: tag["value"] for tag in tags}

    def set_version_tag(self, model: str, number: int, key: str, value: str) -> None:
        """Set a tag of a version."""
        document = {"name": model, "version": str(number), "key": key, "value": value}
        self._send("POST", "model-versions/set-tag", document)

    def delete_version_tag(self, model: str, number: int, key: str) -> None:
        """Delete a tag of a version."""
        self._send("DELETE", "model-versions/delete-tag", {"name": model, "version": str(number), "key": key})

    def register_webhook(self, document: Mapping[str, object]) -> None:
        """Register a webhook, which replaces one of the same name, and send a test call through it."""
        webhooks = self._send("GET", "webhooks").get("webhooks", [])
        assert isinstance(webhooks, list)
        for webhook in webhooks:
            if webhook["name"] == document["name"]:
                self._send("DELETE", f"webhooks/{webhook['webhook_id']}")
        registered = self._send("POST", "webhooks", document)["webhook"]
        assert isinstance(registered, dict)
        self._send("POST", f"webhooks/{registered['webhook_id']}/test", {})

    def _send(self, method: str, path: str, document: Mapping[str, object] | None = None) -> dict[str, object]:
        body = None if document is None else json.dumps(document)
        try:
            response = self._http.request(method, self._base + path, body=body, headers=self._headers)
            parsed = json.loads(response.data)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise DemoError(f"the demo's MLflow did not respond to {method} {path}: {error}") from error
        if response.status != 200 or not isinstance(parsed, dict):
            raise DemoError(f"the demo's MLflow refused {method} {path}: {response.data[:500].decode()}")
        return parsed
