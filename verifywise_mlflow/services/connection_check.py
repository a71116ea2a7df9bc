"""What a tenant's server lets us read, tried out without keeping anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from verifywise_mlflow.artifacts.location import parse_logged_model_id
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.models import ModelVersion, RemoteFile
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.connector.tracking_reader import RUNS_PAGE_SIZE
from verifywise_mlflow.http.errors import ForbiddenError, HttpError, NotFoundError
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.tenant import Tenant

T = TypeVar("T")
Outcome = Literal["readable", "in part", "not readable", "nothing there"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One kind of thing that a sync reads, and what came of reading it."""

    subject: str
    outcome: Outcome
    detail: str
    """In words: how many, or why not."""
    remedy: str | None = None
    """What to do about it."""


@dataclass(slots=True)
class CheckReport:
    """What was found."""

    server: ServerInfo
    identity: str
    """Who we are to the server."""
    models: int = 0
    versions: int = 0
    experiments: int = 0
    requests: int = 0
    results: list[CheckResult] = field(default_factory=list)

    @property
    def is_readable(self) -> bool:
        """Whether a sync would find all that there is, as far as a few requests can tell."""
        return not any(tried.outcome in ("in part", "not readable") for tried in self.results)


def check_connection(tenant: Tenant) -> CheckReport:
    """Connect, list what a sync lists, and read some runs, one logged model, one folder and one byte of one file.

    Raises:
        HttpError: the server cannot be used at all.
        SecretUnavailableError: a credential's reference points to nothing.
    """
    reader = open_reader(tenant)
    try:
        report = CheckReport(reader.server, tenant.auth.identity())
        models = _check_listing(report, "registered models", reader.registered_models, _grant_remedy(reader.server))
        versions = _check_listing(report, "model versions", reader.model_versions, _grant_remedy(reader.server))
        experiments = _check_listing(report, "experiments", reader.experiments, "grant READ on the experiments")
        report.models, report.versions, report.experiments = len(models), len(versions), len(experiments)
        newest = sorted(versions, key=lambda version: version.created_at.timestamp() if version.created_at else 0)[::-1]
        readable_run = _check_runs(report, reader, newest, [experiment.experiment_id for experiment in experiments])
        readable_model = _check_logged_model(report, reader, newest)
        if tenant.artifacts.manifests:
            _check_artifacts(report, reader, readable_run, readable_model, read_bytes=tenant.artifacts.hash)
        report.requests = reader.traffic.requests
        return report
    finally:
        reader.close()


def _grant_remedy(server: ServerInfo) -> str:
    # From 3.17 on prompts have a permission of their own, and a model that bears their tag hides behind it.
    prompts = " and on prompts" if server.store_type else ""
    return f"grant READ on the registered models{prompts}"


def _check_listing(report: CheckReport, what: str, read: Callable[[], Listing[T]], mend: str) -> Sequence[T]:
    try:
        listing = read()
    except HttpError as error:
        report.results.append(
            CheckResult(what, "not readable", str(error), mend if isinstance(error, ForbiddenError) else None)
        )
        return ()
    found = f"{len(listing.rows):,}"
    if listing.problems:
        report.results.append(CheckResult(what, "in part", f"{found}; {'; '.join(listing.problems[:3])}"))
    elif listing.rows:
        report.results.append(CheckResult(what, "readable", found))
    else:
        # MLflow leaves out of a listing what the account may not read, without a word.
        report.results.append(CheckResult(what, "nothing there", "none", f"if the server has some, {mend}"))
    return listing.rows


def _failure(what: str, error: HttpError, mend: str) -> CheckResult:
    # Other errors say themselves what to do.
    return CheckResult(what, "not readable", str(error), mend if isinstance(error, ForbiddenError) else None)


def _check_runs(
    report: CheckReport, reader: Reader, newest: Sequence[ModelVersion], experiment_ids: Sequence[str]
) -> str | None:
    """Search for the newest versions' runs, and ask for one that the search does not show; return a readable one."""
    what = "training runs"
    run_ids = list(dict.fromkeys(version.run_id for version in newest if version.run_id))[:RUNS_PAGE_SIZE]
    if not run_ids:
        report.results.append(CheckResult(what, "nothing there", "no version names a run"))
        return None
    mend = "grant READ on the experiments of these runs; without it, metrics, params and lineage are unknown"
    try:
        found = {run.run_id for run in reader.runs(run_ids, experiment_ids).rows}
        missing = [run_id for run_id in run_ids if run_id not in found]
        said = f"{len(found):,} of the {len(run_ids):,} newest that versions name"
        if not missing:
            report.results.append(CheckResult(what, "readable", said))
        else:
            report.results.append(_check_missing_run(reader, what, said, missing[0], mend, is_part=bool(found)))
    except HttpError as error:
        report.results.append(
            CheckResult(what, "not readable", str(error), mend if isinstance(error, ForbiddenError) else None)
        )
        return None
    return next((run_id for run_id in run_ids if run_id in found), None)


def _check_missing_run(reader: Reader, what: str, said: str, run_id: str, mend: str, *, is_part: bool) -> CheckResult:
    outcome: Outcome = "in part" if is_part else "not readable"
    try:
        reader.run(run_id)
    except NotFoundError:
        # Deleted for good: no permission brings it back, and the records will say so.
        return CheckResult(
            what, "readable" if is_part else "nothing there", f"{said}; {run_id} does not exist any more"
        )
    except ForbiddenError as error:
        return CheckResult(
            what, outcome, f"{said}; {run_id}: {error}", f"{mend}. Or the run is gone: MLflow 3.17 says the same"
        )
    except HttpError as error:
        return CheckResult(what, outcome, f"{said}; {run_id}: {error}")
    return CheckResult(what, "readable", f"{said}; the others one by one, as {run_id}")


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
    what = "artifacts"
    try:
        if model_id:
            of, files = f"logged model {model_id}", reader.logged_model_artifacts(model_id, "")
        elif run_id:
            of, files = f"run {run_id}", reader.run_artifacts(run_id, "")
        else:
            report.results.append(CheckResult(what, "nothing there", "neither a run nor a logged model could be read"))
            return
        file = next((file for file in files if not file.is_directory), None)
        if read_bytes and file:
            _read_one_byte(reader, run_id, model_id, file)
    except HttpError as error:
        mend = "set artifacts: {manifests: false} for the tenant if they are not meant to be read"
        if isinstance(error, EndpointNotFoundError):
            mend = "the server, or the proxy before it, does not serve artifacts: " + mend
        report.results.append(CheckResult(what, "not readable", str(error), mend))
        return
    report.results.append(CheckResult(what, "readable", f"{len(files):,} entries at the root of {of}"))


def _read_one_byte(reader: Reader, run_id: str | None, model_id: str | None, file: RemoteFile) -> None:
    if model_id:
        opened = reader.logged_model_artifact(model_id, file.path, 1)
    else:
        opened = reader.run_artifact(run_id or "", file.path, 1)
    with opened as chunks:
        next(iter(chunks), b"")
