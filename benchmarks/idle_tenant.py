"""A synthetic tenant of any size after its first sync, when nothing is due.

The listings are synced by the real stages. The later stages would take minutes for evaluation and hashing. So they run
only for the first thousand versions. The database copies the results to all other versions, so every thousandth version
is equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, text

from benchmarks.database_cost import SETTINGS_DIGEST, write_manifests
from benchmarks.synthetic import TENANT, SyntheticReader
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync

SYNCED_VERSIONS = 1_000
"""The number of versions that all stages really process."""

# n is a version's number in the tenant, as in its run's id; "of" is the version that it is copied from.
_VERSIONS = """
    CREATE TEMP TABLE copied ON COMMIT DROP AS
    SELECT v.model_name, v.version_number, v.run_id, v.logged_model_id, v.source, v.revision,
           n / :made AS copy,
           o.model_name AS of_model, o.version_number AS of_number, o.run_id AS of_run, o.logged_model_id AS of_logged
    FROM generate_series(:made, :versions - 1) AS n
    JOIN verifywise_mlflow.model_versions AS v ON v.run_id = lpad(to_hex(n), 32, '0')
    JOIN verifywise_mlflow.model_versions AS o ON o.run_id = lpad(to_hex(n % :made), 32, '0')
"""
_REVISION = {"revision": "nextval('verifywise_mlflow.revisions')"}
_OF_VERSION = {"model_name": "c.model_name", "version_number": "c.version_number"}
_IS_OF_VERSION = "t.model_name = c.of_model AND t.version_number = c.of_number"
_LOCATION_KEY = """
    md5(concat(CAST(:settings AS text), jsonb_build_array(
        c.source, c.run_id,
        (SELECT r.artifact_uri FROM verifywise_mlflow.training_runs AS r
         WHERE r.tenant_id = t.tenant_id AND r.run_id = c.run_id),
        (SELECT r.status FROM verifywise_mlflow.training_runs AS r
         WHERE r.tenant_id = t.tenant_id AND r.run_id = c.run_id),
        (SELECT l.artifact_uri FROM verifywise_mlflow.logged_models AS l
         WHERE l.tenant_id = t.tenant_id AND l.model_id = c.logged_model_id),
        1
    )))
"""
_COPIES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "training_runs": (
        "t.run_id = c.of_run",
        {"run_id": "c.run_id", "read_for_revision": "c.revision", **_REVISION},
    ),
    "logged_models": (
        "t.model_id = c.of_logged",
        {"model_id": "c.logged_model_id", "source_run_id": "c.run_id", "read_for_revision": "c.revision", **_REVISION},
    ),
    "artifact_manifests": (_IS_OF_VERSION, {**_OF_VERSION, "location_key": _LOCATION_KEY, **_REVISION}),
    "canonical_records": (_IS_OF_VERSION, {**_OF_VERSION, "source_run_id": "c.run_id", **_REVISION}),
    "version_verdicts": (
        _IS_OF_VERSION,
        # Gaps of different ages: each copy opened its gaps 37 hours before the previous copy.
        {
            **_OF_VERSION,
            "open_since": """ARRAY(
                SELECT opened - c.copy * interval '37 hours'
                FROM unnest(t.open_since) WITH ORDINALITY AS o (opened, place) ORDER BY place
            )""",
        },
    ),
}
_RECORD_INPUTS = """
    INSERT INTO verifywise_mlflow.record_inputs
    SELECT v.tenant_id, v.model_name, v.version_number, m.revision, v.revision, r.revision, l.revision, a.revision,
           NULL, NULL, (SELECT min(mapping_digest) FROM verifywise_mlflow.record_inputs)
    FROM copied AS c
    JOIN verifywise_mlflow.model_versions AS v USING (model_name, version_number)
    JOIN verifywise_mlflow.registered_models AS m USING (tenant_id, model_name)
    JOIN verifywise_mlflow.artifact_manifests AS a USING (tenant_id, model_name, version_number)
    JOIN verifywise_mlflow.training_runs AS r ON r.tenant_id = v.tenant_id AND r.run_id = v.run_id
    LEFT JOIN verifywise_mlflow.logged_models AS l ON l.tenant_id = v.tenant_id AND l.model_id = v.logged_model_id
"""
_BADGES = """
    INSERT INTO verifywise_mlflow.compliance_badges
    SELECT b.tenant_id, c.model_name, c.version_number, b.badge, r.revision, b.policy_digest, b.evaluated_at, b.sync_id,
           b.changed_at, b.versions_digest
    FROM copied AS c
    JOIN verifywise_mlflow.compliance_badges AS b ON b.model_name = c.of_model AND b.version_number = c.of_number
    JOIN verifywise_mlflow.canonical_records AS r
      ON r.tenant_id = b.tenant_id AND r.model_name = c.model_name AND r.version_number = c.version_number
"""


def fill(store: Store, versions: int) -> None:
    """Write the tenant ``TENANT`` with this number of versions."""
    with Sync(TENANT, store, _reader=SyntheticReader(min(SYNCED_VERSIONS, versions))) as sync:
        for stage in Stage:
            if stage is Stage.ARTIFACT_MANIFESTS:
                write_manifests(sync)
            sync.run(stage)
    if versions > SYNCED_VERSIONS:
        with Sync(TENANT, store, _reader=SyntheticReader(versions)) as sync:
            for stage in (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS):
                sync.run(stage)
        with store.begin(TENANT.tenant_id) as session:
            _copy(session.connection, versions)
    with store.begin_shared() as connection:
        connection.execute(text("ANALYZE"))


def _copy(connection: Connection, versions: int) -> None:
    connection.execute(text(_VERSIONS), {"made": SYNCED_VERSIONS, "versions": versions})
    connection.execute(text("ANALYZE copied"))
    settings = {"settings": SETTINGS_DIGEST}
    for table, (is_alike, own) in _COPIES.items():
        columns = list(_columns(connection, table))
        values = ", ".join(own.get(name, f't."{name}"') for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        copy = f"""
            INSERT INTO verifywise_mlflow.{table} ({names})
            SELECT {values} FROM verifywise_mlflow.{table} AS t JOIN copied AS c ON {is_alike}
        """  # noqa: S608  # only names of our own columns
        connection.execute(text(copy), settings if ":settings" in copy else {})
        connection.execute(text(f"ANALYZE verifywise_mlflow.{table}"))
    connection.execute(text(_RECORD_INPUTS))
    connection.execute(text(_BADGES))


def _columns(connection: Connection, table: str) -> Iterator[str]:
    query = """
        SELECT attname FROM pg_attribute
        WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        ORDER BY attnum
    """
    yield from connection.scalars(text(query), {"table": f"verifywise_mlflow.{table}"})
