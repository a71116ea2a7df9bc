"""What every run needs, imported and loaded once by the process that the runs of a code server are forked from."""

from contextlib import suppress

with suppress(Exception):  # the run fails in the same way, and reports it
    from verifywise_mlflow.compliance.rules.policy import default_policy
    from verifywise_mlflow.definitions import defs
    from verifywise_mlflow.defs.dagster_compat import end_canceled_runs, prepare_job
    from verifywise_mlflow.defs.run_tags import SYNC_JOB, TARGETED_SYNC_JOB
    from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
    from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
    from verifywise_mlflow.observability.tracing import preload_tracing
    from verifywise_mlflow.persistence.database import connect
    from verifywise_mlflow.redaction.token_scanner import load_scanner
    from verifywise_mlflow.tenants.tenant import Tenant

    end_canceled_runs()
    mapping_index(default_mapping())
    default_policy()
    load_scanner()
    # Nothing connects here: the first use of each builds its validators, and imports the driver of the database.
    Tenant(tenant_id="template", tracking_uri="https://template.invalid")
    connect("postgresql://template.invalid/template").dispose()
    preload_tracing()
    prepare_job(defs.resolve_job_def(SYNC_JOB))
    prepare_job(defs.resolve_job_def(TARGETED_SYNC_JOB))
