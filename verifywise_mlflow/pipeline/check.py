"""What a tenant's server lets us read, tried out without keeping anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from verifywise_mlflow.connector.errors import ConnectorError
from verifywise_mlflow.connector.reader import MlflowReader, ServerInfo
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant


@dataclass(slots=True)
class CheckReport:
    """What was found. ``problems`` are sentences that say what cannot be read, and what to do about it."""

    server: ServerInfo
    models: int = 0
    versions: int = 0
    experiments: int = 0
    requests: int = 0
    problems: list[str] = field(default_factory=list)


def check(tenant: Tenant) -> CheckReport:
    """Connect, list what a sync lists, and read one run and one listing of artifacts.

    Raises:
        ConnectorError: the server cannot be used at all.
        SecretUnavailableError: a credential's reference points to nothing.
    """
    reader = MlflowReader(connection_settings(tenant))
    try:
        report = CheckReport(reader.server)
        models = reader.registered_models()
        versions = reader.model_versions()
        experiments = reader.experiments()
        report.models, report.versions = len(models.rows), len(versions.rows)
        report.experiments = len(experiments.rows)
        report.problems += [*models.problems, *versions.problems, *experiments.problems]
        run_id = next((version.run_id for version in versions.rows if version.run_id), None)
        if run_id:
            _try(report, f"the run {run_id} of a version", lambda: reader.run(run_id))
            if tenant.artifacts.manifests:
                _try(report, f"the artifacts of the run {run_id}", lambda: reader.run_artifacts(run_id, ""))
        report.requests = reader.traffic.requests
        return report
    finally:
        reader.close()


def _try(report: CheckReport, what: str, read: Callable[[], object]) -> None:
    try:
        read()
    except ConnectorError as error:
        report.problems.append(f"{what} cannot be read: {error}")
