"""The job that sends signed checkpoints to the witnesses of the installation, and the sensor that requests it."""

import dagster as dg

from verifywise_mlflow.common.problems import shorten
from verifywise_mlflow.common.settings_file import InvalidSettingsFileError
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.defs.run_queue.active_runs import has_run_of
from verifywise_mlflow.defs.run_tags import DELIVERY_TAG, WITNESS_JOB
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.witnesses.sending import Sender
from verifywise_mlflow.witnesses.settings import find_unknown_tenants, load_witnesses

_MAX_PROBLEMS = 10


@dg.op
def send_checkpoints(context: dg.OpExecutionContext) -> None:
    """Send the due checkpoints, and fail if a witness did not accept one."""
    try:
        witnesses, tenants = load_witnesses(), load_tenants()
        with Store(database_url()) as store:
            results = Sender(store, witnesses).send_all(tenants)
    except (DatabaseError, InvalidSettingsFileError, TenantsFileError) as error:
        raise dg.Failure(shorten(str(error)), allow_retries=False) from None  # the sensor requests another run
    problems = find_unknown_tenants(witnesses, tenants)
    problems += [f"{result.tenant_id}: {result.problem}" for result in results if result.problem]
    if problems:
        more = [f"{len(problems) - _MAX_PROBLEMS:,} more"] if len(problems) > _MAX_PROBLEMS else []
        raise dg.Failure(
            escape_invisible(shorten("; ".join([*problems[:_MAX_PROBLEMS], *more]))),
            allow_retries=False,
        )
    context.log.info(f"{len(results):,} checkpoints were sent")


@dg.job(
    name=WITNESS_JOB,
    tags={DELIVERY_TAG: "true"},
    description="Sends the newest signed checkpoint of each tenant to its witnesses. No sync waits for that.",
)
def witness_checkpoints() -> None:
    """Send the due checkpoints to all witnesses."""
    send_checkpoints()


@dg.sensor(
    job=witness_checkpoints,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the job witness_checkpoints when a witness lacks the newest checkpoint of a tenant and its "
    "interval has passed. A witness that failed is tried again at the next tick. It reads the store only.",
)
def due_checkpoints(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run if a checkpoint is due."""
    if has_run_of(context.instance, WITNESS_JOB):
        return dg.SkipReason("checkpoints are being sent")
    try:
        witnesses = load_witnesses()
    except InvalidSettingsFileError:
        return dg.RunRequest()  # the run fails with the reason, which raises an alert
    if not witnesses:
        return dg.SkipReason("no witness is configured: VERIFYWISE_AUDIT_WITNESSES names no file")
    with Store(database_url()) as store:
        if Sender(store, witnesses).has_due(load_tenants()):
            return dg.RunRequest()
    return dg.SkipReason("no checkpoint is due")
