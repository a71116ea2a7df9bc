"""The Dagster instance of the demo: the production instance on the embedded Postgres, sized for two cores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from verifywise_mlflow.dagster_yaml import instance_config, to_yaml
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, Login

DEMO_SETTINGS: Mapping[str, str] = {
    "VERIFYWISE_MAX_CONCURRENT_SYNCS": "2",
    "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": "1",
}
_PASSED_ON = ("VERIFYWISE_SOURCE_URL",)


def write_instance(home: Path, settings: Mapping[str, str] = DEMO_SETTINGS) -> None:
    """Write dagster.yaml into the folder for DAGSTER_HOME, configured by the variables in ``settings``."""
    (home / "dagster.yaml").write_text(to_yaml(instance_config(settings)))


def instance_environment(postgres: EmbeddedPostgres, login: Login, tenants_file: Path) -> dict[str, str]:
    """Return the environment of Dagster's processes: tenants.yaml, our database, and Dagster's own.

    The variable with our code's web address is passed on from the user's environment, for links to the code.
    """
    return {name: value for name in _PASSED_ON if (value := os.environ.get(name))} | {
        "VERIFYWISE_TENANTS": str(tenants_file),
        "VERIFYWISE_DATABASE_URL": postgres.url("verifywise_mlflow", login),
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_PORT": str(postgres.port),
        "DAGSTER_PG_USERNAME": login.role,
        "DAGSTER_PG_PASSWORD": login.password,
        "DAGSTER_PG_DB": "dagster",
    }
