"""Imports and loads once what every run needs, in the process from which a code server forks its runs."""

from contextlib import suppress

with suppress(Exception):  # a run fails with the same error, and reports the error
    from verifywise_mlflow.compliance.environment_facts.end_of_life import load_end_of_life
    from verifywise_mlflow.definitions import defs
    from verifywise_mlflow.defs.dagster_compat.run_processes import end_canceled_runs, prepare_job
    from verifywise_mlflow.defs.run_tags import SYNC_JOB, TARGETED_SYNC_JOB
    from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
    from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
    from verifywise_mlflow.observability.tracing import preload_tracing
    from verifywise_mlflow.persistence.database import connect
    from verifywise_mlflow.pipeline import due_manifests  # noqa: F401  # imported by syncs that read files
    from verifywise_mlflow.redaction.token_scanner import load_scanner
    from verifywise_mlflow.services.tenant_policies import load_rules
    from verifywise_mlflow.tenants.tenant import Tenant

    end_canceled_runs()
    mapping_index(default_mapping())
    default_mapping().digest()
    load_scanner()
    load_end_of_life(None)
    # These calls open no connection. They build validators and import the database driver, as the first use would.
    load_rules(Tenant(tenant_id="template", tracking_uri="https://template.invalid"))
    connect("postgresql://template.invalid/template").dispose()
    preload_tracing()
    prepare_job(defs.resolve_job_def(SYNC_JOB))
    prepare_job(defs.resolve_job_def(TARGETED_SYNC_JOB))
