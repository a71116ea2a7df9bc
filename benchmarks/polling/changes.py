"""The kinds of change, made over MLflow's REST API, and the queries that show that a change has been evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import urllib3

from verifywise_mlflow_tests.support.seeding import model_name

MODEL: Final = model_name(0)
_PROMPT_TAG: Final = {"key": "mlflow.prompt.is_prompt", "value": "true"}
ROUNDS: Final = 9
"""The maximum number of changes of a kind. Each version of the seeded model names one prompt."""

_JUDGED = "SELECT record_revision FROM verifywise_mlflow.compliance_badges WHERE tenant_id = %s AND model_name = %s"
_MODELS = "SELECT count(*) FROM verifywise_mlflow.registered_models WHERE tenant_id = %s"
_DELETED = "SELECT count(*) FROM verifywise_mlflow.model_versions WHERE tenant_id = %s AND deleted_at IS NOT NULL"


@dataclass(slots=True)
class Workspace:
    """A workspace of MLflow that is used for one kind of change only."""

    uri: str
    name: str
    run_id: str = ""
    """The run of a version that the benchmark has registered, with a file."""
    _http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=60))

    def send(self, method: str, path: str, document: Mapping[str, object] | None = None) -> Mapping[str, object]:
        """Send a request, and return the response."""
        body = None if document is None else json.dumps(document)
        return self._request(method, f"mlflow/{path}", body, "application/json")

    def upload(self, artifact_uri: str, content: bytes) -> None:
        """Write a file of a run."""
        self._request("PUT", f"mlflow-artifacts/artifacts/{artifact_uri.removeprefix('mlflow-artifacts:/')}", content)

    def _request(
        self, method: str, path: str, body: str | bytes | None, content_type: str = "application/octet-stream"
    ) -> Mapping[str, object]:
        headers = {"Content-Type": content_type, "X-MLFLOW-WORKSPACE": self.name}
        response = self._http.request(method, f"{self.uri}/api/2.0/{path}", body=body, headers=headers)
        assert response.status == 200, response.data[:500]
        parsed: Mapping[str, object] = json.loads(response.data or b"{}")
        return parsed

    def register_prompt_version(self, name: str, text: str) -> None:
        """Register the next version of a prompt."""
        tags = [_PROMPT_TAG, {"key": "mlflow.prompt.text", "value": text}]
        self.send("POST", "model-versions/create", {"name": name, "source": "dummy-source", "tags": tags})

    def register_prompt(self, name: str) -> None:
        """Register a prompt with a version."""
        self.send("POST", "registered-models/create", {"name": name, "tags": [_PROMPT_TAG]})
        self.register_prompt_version(name, "Summarize {{text}}")

    def name_prompt(self, number: int, prompt: str) -> None:
        """Let a version of the seeded model name a prompt."""
        self._set_tag(number, "prompt_reference", prompt)

    def register_run(self) -> None:
        """Register a version of a new model with a run and a file."""
        experiment = self.send("POST", "experiments/create", {"name": "polled"})["experiment_id"]
        run = self.send("POST", "runs/create", {"experiment_id": experiment})["run"]
        assert isinstance(run, dict)
        self.run_id, location = run["info"]["run_id"], run["info"]["artifact_uri"]
        self.upload(f"{location}/model/model.bin", b"bytes")
        self.send("POST", "runs/update", {"run_id": self.run_id, "status": "FINISHED"})
        self.send("POST", "registered-models/create", {"name": "polled"})
        source = {"name": "polled", "source": f"{location}/model", "run_id": self.run_id}
        self.send("POST", "model-versions/create", source)

    def rewrite_file(self, number: int) -> None:
        """Give the file of the run other bytes."""
        run = self.send("GET", f"runs/get?run_id={self.run_id}")["run"]
        assert isinstance(run, dict)
        self.upload(f"{run['info']['artifact_uri']}/model/model.bin", b"bytes %d" % number)

    def change_version(self, method: str, path: str, number: int, **fields: object) -> None:
        """Change a version of the seeded model."""
        self.send(method, path, {"name": MODEL, "version": str(number), **fields})

    def _set_tag(self, number: int, key: str, value: str) -> None:
        self.change_version("POST", "model-versions/set-tag", number, key=key, value=value)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change."""

    name: str
    """The name, as in the table of docs/how-to/webhooks.md."""
    interval: str
    """The interval by which the change is found, among the tenant's ``intervals``."""
    change: Callable[[Workspace, int], object]
    """Makes the change with this number. Numbers begin at 1."""
    seen_by: str = _JUDGED
    """The query whose rows differ as soon as the change has been evaluated."""
    model: str = MODEL
    prepare: Callable[[Workspace], object] = lambda _: None
    rounds: int = ROUNDS

    def parameters(self, tenant: str) -> Sequence[str]:
        """Return the parameters of the query."""
        return (tenant, self.model) if self.seen_by == _JUDGED else (tenant,)


def _set_owner(workspace: Workspace, number: int) -> None:
    workspace.change_version("POST", "model-versions/set-tag", 1, key="owner", value=f"team {number}")


def _set_stage(workspace: Workspace, number: int) -> None:
    stage = ("Staging", "Production")[number % 2]
    workspace.change_version("POST", "model-versions/transition-stage", 1, stage=stage, archive_existing_versions=False)


def _move_alias(workspace: Workspace, number: int) -> None:
    workspace.send(
        "POST", "registered-models/alias", {"name": MODEL, "alias": "champion", "version": str(number % 2 + 1)}
    )


def _rename(workspace: Workspace, _number: int) -> None:
    workspace.send("POST", "registered-models/rename", {"name": MODEL, "new_name": "renamed"})


def _name_versions_of_prompt(workspace: Workspace) -> None:
    workspace.register_prompt("summary")
    for number in range(1, ROUNDS + 1):
        workspace.name_prompt(number, f"prompts:/summary/{number + 1}")


def _name_alias_of_prompt(workspace: Workspace) -> None:
    workspace.register_prompt("summary")
    workspace.register_prompt_version("summary", "Summarize {{text}} in {{words}} words")
    workspace.name_prompt(1, "prompts:/summary@production")


def _move_prompt_alias(workspace: Workspace, number: int) -> None:
    version = str(number % 2 + 1)
    workspace.send("POST", "registered-models/alias", {"name": "summary", "alias": "production", "version": version})


def _name_prompts(workspace: Workspace) -> None:
    for number in range(1, ROUNDS + 1):
        workspace.register_prompt(f"prompt-{number}")
        workspace.name_prompt(number, f"prompts:/prompt-{number}/1")


KINDS: Final[Sequence[Kind]] = (
    Kind(
        "new model",
        "listing",
        lambda workspace, number: workspace.send("POST", "registered-models/create", {"name": f"new-{number}"}),
        seen_by=_MODELS,
    ),
    Kind(
        "new version",
        "poll",
        lambda workspace, _: workspace.send("POST", "model-versions/create", {"name": MODEL, "source": "s3://b/m"}),
    ),
    Kind("tag of a version, set or deleted", "listing", _set_owner),
    Kind("alias, set, moved or deleted", "listing", _move_alias),
    Kind(
        "first prompt of a registry",
        "listing",
        lambda workspace, _: workspace.register_prompt("summary"),
        prepare=lambda workspace: workspace.name_prompt(1, "prompts:/summary/1"),
        rounds=1,
    ),
    Kind(
        "another prompt, new version of a prompt",
        "poll",
        lambda workspace, number: workspace.register_prompt_version("summary", f"Text {number}"),
        prepare=_name_versions_of_prompt,
    ),
    Kind("tag or alias of a prompt", "listing", _move_prompt_alias, prepare=_name_alias_of_prompt),
    Kind("stage or description of a version", "poll", _set_stage),
    Kind(
        "tag or description of a model",
        "listing",
        lambda workspace, number: workspace.send(
            "POST", "registered-models/set-tag", {"name": MODEL, "key": "owner", "value": f"team {number}"}
        ),
    ),
    Kind("new name of a model", "poll", _rename, model="renamed", rounds=1),
    Kind(
        "deletion of a version or model",
        "listing",
        lambda workspace, number: workspace.change_version("DELETE", "model-versions/delete", number),
        seen_by=_DELETED,
    ),
    Kind(
        "deletion of a prompt",
        "listing",
        lambda workspace, number: workspace.send("DELETE", "registered-models/delete", {"name": f"prompt-{number}"}),
        prepare=_name_prompts,
    ),
    Kind(
        "tags, metrics or parameters of a run",
        "reconcile",
        lambda workspace, number: workspace.send(
            "POST",
            "runs/log-metric",
            {"run_id": workspace.run_id, "key": "accuracy", "value": number / 100, "timestamp": 1, "step": number},
        ),
        model="polled",
        prepare=Workspace.register_run,
    ),
    Kind(
        "deletion of a run",
        "reconcile",
        lambda workspace, _: workspace.send("POST", "runs/delete", {"run_id": workspace.run_id}),
        model="polled",
        prepare=Workspace.register_run,
        rounds=1,
    ),
    Kind(
        "bytes of a file under an unchanged version",
        "rehash",
        Workspace.rewrite_file,
        model="polled",
        prepare=Workspace.register_run,
    ),
)
