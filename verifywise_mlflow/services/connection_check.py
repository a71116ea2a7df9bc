"""Checks what the configured account may read on a tenant's server. Stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from verifywise_mlflow.artifacts.version_origin import parse_logged_model_id
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.models import ModelVersion, RemoteFile
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.connector.tracking_reader import RUNS_PAGE_SIZE
from verifywise_mlflow.http.errors import ForbiddenError, HttpError, NotFoundError
from verifywise_mlflow.services.check_result import CheckResult, Outcome
from verifywise_mlflow.services.generative_check import check_generative
from verifywise_mlflow.services.webhooks.support import WebhookSupport, support_of
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.tenant import Tenant

T = TypeVar("T")


@dataclass(slots=True)
class CheckReport:
    """The results of a connection check."""

    server: ServerInfo
    identity: str
    """The account, as the tenant's credentials name it."""
    models: int = 0
    versions: int = 0
    experiments: int = 0
    requests: int = 0
    results: list[CheckResult] = field(default_factory=list)

    @property
    def is_readable(self) -> bool:
        """Whether a sync would read everything, as far as a few requests can show."""
        return not any(result.outcome in ("in part", "not readable") for result in self.results)

    def to_json(self) -> dict[str, object]:
        """Return the object that ``check --json`` prints. Its keys are an interface."""
        return {
            "server": asdict(self.server),
            "identity": self.identity,
            "models": self.models,
            "versions": self.versions,
            "experiments": self.experiments,
            "requests": self.requests,
            "tried": [result.to_json() for result in self.results],
        }


def check_connection(tenant: Tenant) -> CheckReport:
    """Connect, list what a sync lists, and read some runs, a logged model, a directory and one byte of a file.

    Raises:
        HttpError: the server cannot be used at all.
        SecretUnavailableError: a credential cannot be resolved.
    """
    reader = open_reader(tenant)
    try:
        report = CheckReport(reader.server, tenant.auth.identity())
        models = _check_listing(
            report, "registered models", lambda: reader.registered_models().read(), _grant_remedy(reader.server)
        )
        versions = _check_listing(
            report, "model versions", lambda: reader.model_versions().read(), _grant_remedy(reader.server)
        )
        experiments = _check_listing(report, "experiments", reader.experiments, "grant READ on the experiments")
        report.models, report.versions, report.experiments = len(models), len(versions), len(experiments)
        newest = sorted(versions, key=lambda version: version.created_at.timestamp() if version.created_at else 0)[::-1]
        readable_run = _check_runs(report, reader, newest, [experiment.experiment_id for experiment in experiments])
        readable_model = _check_logged_model(report, reader, newest)
        report.results += check_generative(reader, [experiment.experiment_id for experiment in experiments])
        if tenant.artifacts.manifests:
            _check_artifacts(report, reader, readable_run, readable_model, read_bytes=tenant.artifacts.hash)
        if tenant.webhooks:
            _check_webhooks(report, tenant.tenant_id, support_of(tenant, reader.server))
        report.requests = reader.traffic.requests
        return report
    finally:
        reader.close()


def _check_webhooks(report: CheckReport, tenant_id: str, support: WebhookSupport) -> None:
    """Report whether the server can send the webhooks for which the tenant is configured."""
    if support.events:
        detail = f"{support.sentence}; verifywise-mlflow webhooks {tenant_id} --check says whether they are registered"
        report.results.append(CheckResult("webhooks", "readable", detail))
    else:
        report.results.append(CheckResult("webhooks", "nothing there", support.sentence))


def _grant_remedy(server: ServerInfo) -> str:
    # Since MLflow 3.17, prompts have a permission of their own. It also guards models with the prompts' tag.
    prompts = " and on prompts" if server.store_type else ""
    return f"grant READ on the registered models{prompts}"


def _check_listing(report: CheckReport, subject: str, read: Callable[[], Listing[T]], remedy: str) -> Sequence[T]:
    try:
        listing = read()
    except HttpError as error:
        report.results.append(_failure(subject, error, remedy))
        return ()
    count = f"{len(listing.rows):,}"
    if listing.problems:
        report.results.append(CheckResult(subject, "in part", f"{count}; {'; '.join(listing.problems[:3])}"))
    elif listing.rows:
        report.results.append(CheckResult(subject, "readable", count))
    else:
        # MLflow silently omits objects that the account cannot read.
        report.results.append(CheckResult(subject, "nothing there", "none", f"if the server has some, {remedy}"))
    return listing.rows


def _failure(subject: str, error: HttpError, remedy: str) -> CheckResult:
    # The message of every other error already says what to do.
    return CheckResult(subject, "not readable", str(error), remedy if isinstance(error, ForbiddenError) else None)


def _check_runs(
    report: CheckReport, reader: Reader, newest: Sequence[ModelVersion], experiment_ids: Sequence[str]
) -> str | None:
    """Search for the runs of the newest versions, and request one run that is not found; return a readable run's ID."""
    subject = "training runs"
    run_ids = list(dict.fromkeys(version.run_id for version in newest if version.run_id))[:RUNS_PAGE_SIZE]
    if not run_ids:
        report.results.append(CheckResult(subject, "nothing there", "no version names a run"))
        return None
    remedy = "grant READ on the experiments of these runs; without it, metrics, params and lineage are unknown"
    try:
        readable = {run.run_id for run in reader.runs(run_ids, experiment_ids).rows}
        missing = [run_id for run_id in run_ids if run_id not in readable]
        detail = f"{len(readable):,} of the {len(run_ids):,} newest that versions name"
        if not missing:
            report.results.append(CheckResult(subject, "readable", detail))
        else:
            report.results.append(
                _check_missing_run(reader, subject, detail, missing[0], remedy, is_part=bool(readable))
            )
    except HttpError as error:
        report.results.append(_failure(subject, error, remedy))
        return None
    return next((run_id for run_id in run_ids if run_id in readable), None)


def _check_missing_run(
    reader: Reader, subject: str, detail: str, run_id: str, remedy: str, *, is_part: bool
) -> CheckResult:
    outcome: Outcome = "in part" if is_part else "not readable"
    try:
        reader.run(run_id)
    except NotFoundError:
        # The run was permanently deleted. No permission makes it readable, and the records will state that it is
        # deleted.
        outcome = "readable" if is_part else "nothing there"
        return CheckResult(subject, outcome, f"{detail}; {run_id} no longer exists")
    except ForbiddenError as error:
        remedy = f"{remedy}. Or the run was deleted: MLflow 3.17 returns the same error"
        return CheckResult(subject, outcome, f"{detail}; {run_id}: {error}", remedy)
    except HttpError as error:
        return CheckResult(subject, outcome, f"{detail}; {run_id}: {error}")
    return CheckResult(subject, "readable", f"{detail}; the others one by one, such as {run_id}")


def _check_logged_model(report: CheckReport, reader: Reader, newest: Sequence[ModelVersion]) -> str | None:
    model_ids = (parse_logged_model_id(version.source) for version in newest if version.source)
    model_id = next(filter(None, model_ids), None)
    if model_id is None:
        return None
    try:
        reader.logged_model(model_id)
    except HttpError as error:
        report.results.append(_failure(f"logged model {model_id}", error, "grant READ on its experiment"))
        return None
    report.results.append(CheckResult("logged models", "readable", f"{model_id}, the newest"))
    return model_id


def _check_artifacts(
    report: CheckReport, reader: Reader, run_id: str | None, model_id: str | None, *, read_bytes: bool
) -> None:
    subject = "artifacts"
    try:
        if model_id:
            owner, files = f"logged model {model_id}", reader.logged_model_artifacts(model_id, "")
        elif run_id:
            owner, files = f"run {run_id}", reader.run_artifacts(run_id, "")
        else:
            report.results.append(
                CheckResult(subject, "nothing there", "neither a run nor a logged model could be read")
            )
            return
        file = next((file for file in files if not file.is_directory), None)
        if read_bytes and file:
            _read_one_byte(reader, run_id, model_id, file)
    except HttpError as error:
        remedy = "to sync without artifacts, set artifacts: {manifests: false} for the tenant"
        if isinstance(error, EndpointNotFoundError):
            remedy = f"the server, or a proxy in front of it, does not serve artifacts: {remedy}"
        report.results.append(CheckResult(subject, "not readable", str(error), remedy))
        return
    if not files:
        remedy = "if it has files, check the server's artifact store: MLflow lists a store that is not mounted as empty"
        report.results.append(
            CheckResult(subject, "nothing there", f"the server lists no files at the root of {owner}", remedy)
        )
        return
    report.results.append(CheckResult(subject, "readable", f"{len(files):,} entries at the root of {owner}"))


def _read_one_byte(reader: Reader, run_id: str | None, model_id: str | None, file: RemoteFile) -> None:
    if model_id:
        opened = reader.logged_model_artifact(model_id, file.path, 1)
    else:
        opened = reader.run_artifact(run_id or "", file.path, 1)
    with opened as chunks:
        next(iter(chunks), b"")
