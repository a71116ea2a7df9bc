"""Dagster's instance for the demo: the one for production, on the embedded Postgres, for two cores and no backlog."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from verifywise_mlflow.dagster_yaml import instance_config, to_yaml
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, Login

SMALL: Mapping[str, str] = {"VERIFYWISE_MAX_CONCURRENT_SYNCS": "2", "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": "1"}


def write_instance(home: Path, settings: Mapping[str, str] = SMALL) -> None:
    """Write dagster.yaml into the directory for DAGSTER_HOME, as the variables in ``settings`` say."""
    (home / "dagster.yaml").write_text(to_yaml(instance_config(settings)))


def instance_environment(postgres: EmbeddedPostgres, login: Login, tenants_file: Path) -> dict[str, str]:
    """Return what Dagster's processes need: who the tenants are, our database ``verifywise``, its own ``dagster``."""
    return {
        "VERIFYWISE_TENANTS": str(tenants_file),
        "VERIFYWISE_DATABASE_URL": postgres.url("verifywise", login),
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_PORT": str(postgres.port),
        "DAGSTER_PG_USERNAME": login.role,
        "DAGSTER_PG_PASSWORD": login.password,
        "DAGSTER_PG_DB": "dagster",
    }
