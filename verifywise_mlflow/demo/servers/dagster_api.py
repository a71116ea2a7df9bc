"""A client of Dagster's GraphQL API, which Dagster's own pages use, too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import urllib3
from pydantic import BaseModel, Field

from verifywise_mlflow.demo.errors import DagsterApiError

LOCATION = "verifywise_mlflow"
JOB = "sync_tenant"
TARGETED_JOB = "targeted_sync"

RunStatus = Literal[
    "QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING", "SUCCESS", "FAILURE", "CANCELED"
]
ENDED: frozenset[RunStatus] = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


class _Tag(BaseModel):
    key: str
    value: str


class _Step(BaseModel):
    key: str = Field(alias="stepKey")
    status: Literal["SKIPPED", "SUCCESS", "FAILURE", "IN_PROGRESS"] | None


class SyncRun(BaseModel):
    """A run that syncs a tenant."""

    run_id: str = Field(alias="runId")
    status: RunStatus
    created: float = Field(alias="creationTime")
    """Seconds since 1970."""
    tags: list[_Tag]
    steps: list[_Step] = Field(alias="stepStats")

    @property
    def tenant_id(self) -> str | None:
        """The run's partition."""
        return next((tag.value for tag in self.tags if tag.key == "dagster/partition"), None)

    @property
    def stages_done(self) -> int:
        """How many of the six stages are finished."""
        return sum(step.status == "SUCCESS" for step in self.steps)


class _Error(BaseModel):
    message: str
    causes: list[_Error] = []


class _LoadResult(BaseModel):
    message: str | None = None


class _Entry(BaseModel):
    load_status: str = Field(alias="loadStatus")
    result: _LoadResult = Field(alias="locationOrLoadError")


class _Location(BaseModel):
    entry: _Entry | None = Field(alias="workspaceLocationEntryOrError")


class _RunList(BaseModel):
    results: list[SyncRun]


class _Runs(BaseModel):
    runs: _RunList = Field(alias="runsOrError")


class _Outcome(BaseModel):
    kind: str = Field(alias="__typename")
    message: str | None = None


class _Launch(BaseModel):
    launched: _Outcome = Field(alias="launchRun")


class _Canceled(BaseModel):
    outcome: _Outcome = Field(alias="terminateRuns")


class _Event(BaseModel):
    error: _Error | None = None


class _Events(BaseModel):
    events: list[_Event]


class _Log(BaseModel):
    log: _Events = Field(alias="logsForRun")


_Response = TypeVar("_Response", bound=BaseModel)


class DagsterApi:
    """The GraphQL API of a Dagster webserver."""

    def __init__(self, uri: str) -> None:
        """Use the webserver at ``uri``. Nothing is sent yet."""
        self._url = f"{uri}/graphql"
        self._http = urllib3.PoolManager(retries=False, timeout=30)

    def location_error(self) -> str | None:
        """Return why our code location failed to load, or None if it is loaded.

        Raises:
            DagsterApiError: It is not loaded yet, or the webserver does not respond yet.
        """
        result = self._query(
            """
            query ($name: String!) {
              workspaceLocationEntryOrError(name: $name) {
                ... on WorkspaceLocationEntry {
                  loadStatus
                  locationOrLoadError { ... on RepositoryLocation { id } ... on PythonError { message } }
                }
              }
            }
            """,
            {"name": LOCATION},
            _Location,
        )
        if result.entry is None or result.entry.load_status != "LOADED":
            raise DagsterApiError(f"the code location {LOCATION} is not loaded yet")
        return result.entry.result.message

    def sync_runs(self, job: str = JOB) -> list[SyncRun]:
        """Return the newest 50 runs of a job, newest first."""
        return self._query(
            """
            query ($job: String!) {
              runsOrError(filter: {pipelineName: $job}, limit: 50) {
                ... on Runs {
                  results { runId status creationTime tags { key value } stepStats { stepKey status } }
                }
              }
            }
            """,
            {"job": job},
            _Runs,
        ).runs.results

    def launch(self, tenant_id: str) -> None:
        """Launch a sync of a tenant, as "Materialize all" does on its partition."""
        result = self._query(
            """
            mutation ($params: ExecutionParams!) {
              launchRun(executionParams: $params) { __typename ... on PythonError { message } }
            }
            """,
            {
                "params": {
                    "selector": {
                        "repositoryLocationName": LOCATION,
                        "repositoryName": "__repository__",
                        "jobName": JOB,
                    },
                    "runConfigData": {},
                    "executionMetadata": {"tags": [{"key": "dagster/partition", "value": tenant_id}]},
                }
            },
            _Launch,
        ).launched
        if result.kind != "LaunchRunSuccess":
            raise DagsterApiError(f"cannot launch the sync of {tenant_id}: {result.message or result.kind}")

    def cancel(self, run_ids: Sequence[str]) -> None:
        """Cancel runs in order, as "Terminate" does."""
        self._query(
            """
            mutation ($ids: [String!]!) {
              terminateRuns(runIds: $ids, terminatePolicy: SAFE_TERMINATE) { __typename }
            }
            """,
            {"ids": list(run_ids)},
            _Canceled,
        )

    def mark_canceled(self, run_ids: Sequence[str]) -> None:
        """Mark runs whose processes no longer exist as canceled."""
        self._query(
            """
            mutation ($ids: [String!]!) {
              terminateRuns(runIds: $ids, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename }
            }
            """,
            {"ids": list(run_ids)},
            _Canceled,
        )

    def failure_message(self, run_id: str) -> str:
        """Return the error messages of a failed run: the root cause of each error."""
        events = self._query(
            """
            query ($id: ID!) {
              logsForRun(runId: $id) {
                ... on EventConnection {
                  events { ... on ErrorEvent { error { message causes { message } } } }
                }
              }
            }
            """,
            {"id": run_id},
            _Log,
        ).log.events
        messages = [(event.error.causes or [event.error])[-1].message.strip() for event in events if event.error]
        return "\n".join(dict.fromkeys(messages)) or "the run has no error message"

    def _query(self, query: str, variables: Mapping[str, object], response_model: type[_Response]) -> _Response:
        body = json.dumps({"query": query, "variables": variables})
        try:
            response = self._http.request("POST", self._url, body=body, headers={"Content-Type": "application/json"})
            parsed = json.loads(response.data)
            if parsed.get("errors"):
                raise DagsterApiError(f"Dagster rejected a query: {parsed['errors'][0]['message']}")
            return response_model.model_validate(parsed["data"])
        except (urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
            raise DagsterApiError(f"unexpected response from Dagster's webserver: {error}") from error
