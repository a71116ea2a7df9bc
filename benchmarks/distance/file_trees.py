"""Registries whose versions have files: on disk behind MLflow, or in a bucket on a real server of its kind.

Half of the versions come from logged models. The files of a logged model are not among the files of its run.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.latency_proxy import Distance
from benchmarks.task import FileApi, FileTask
from verifywise_mlflow_tests.artifacts.stores import backends, servers
from verifywise_mlflow_tests.artifacts.stores.backends import Backend
from verifywise_mlflow_tests.support.seeding import Sizes, seed

_SERVED = "mlflow-artifacts:/"
_ML_MODEL = b"""artifact_path: model
flavors:
  python_function: {env: conda.yaml, loader_module: mlflow.sklearn, model_path: model.pkl, python_version: 3.11.9}
  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle, sklearn_version: 1.6.1}
mlflow_version: 3.17.2
"""
_REQUIREMENTS = b"mlflow==3.17.2\nnumpy==2.1.0\nscikit-learn==1.6.1\ncloudpickle==3.1.0\npsutil==6.1.0\n"
_CONDA = b"channels: [conda-forge]\ndependencies: [python=3.11.9, pip, {pip: [mlflow==3.17.2, scikit-learn==1.6.1]}]\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of each version."""

    title: str
    versions: int
    model_files: Mapping[str, Callable[[], bytes]]
    run_files: Mapping[str, Callable[[], bytes]]

    @property
    def files(self) -> int:
        """Files of all versions."""
        return self.versions * (len(self.model_files) + len(self.run_files))


def many_small(versions: int) -> Layout:
    """Six files per version, as an autologged training leaves them."""
    return Layout(
        f"{versions} versions with 6 small files",
        versions,
        {
            "MLmodel": lambda: _ML_MODEL,
            "conda.yaml": lambda: _CONDA,
            "requirements.txt": lambda: _REQUIREMENTS,
            "model.pkl": lambda: os.urandom(20_000),
        },
        {"evaluation/metrics.json": lambda: b'{"accuracy": 0.93}', "plots/confusion.png": lambda: os.urandom(10_000)},
    )


def few_large(versions: int, files: int, megabytes: int) -> Layout:
    """A file of metadata and large files per version."""
    # Random bytes, since a store or a file system must not compress them. They are generated once for each file.
    weights = {f"weights-{number}.bin": (lambda: os.urandom(megabytes * 2**20)) for number in range(files)}
    title = f"{versions} versions with {files} files of {megabytes} MiB"
    return Layout(title, versions, {"MLmodel": lambda: _ML_MODEL, **weights}, {})


@dataclass(frozen=True, slots=True)
class FileTree:
    """A filled registry."""

    api: FileApi
    url: str
    """The tracking server or the bucket."""
    query: str
    folders: tuple[str, ...]
    stores: tuple[Mapping[str, object], ...]
    port: int
    """The port of the server that has the files."""

    def task(self, proxy: Distance | None) -> FileTask:
        """Return the task of reading the files, at a distance or directly."""
        if proxy is None:
            return FileTask(self.api, self.url, self.query, self.folders, self.stores)
        stores = [{**store, "endpoint": proxy.uri(str(store["endpoint"]))} for store in self.stores]
        return FileTask(self.api, proxy.uri(self.url), self.query, self.folders, tuple(stores))


@contextmanager
def file_tree(api: FileApi, layout: Layout, home: Path, server_uri: str) -> Iterator[FileTree]:
    """Fill the database of a running MLflow server, and a store of this kind, until the block ends.

    Args:
        api: the kind of store.
        layout: what to write.
        home: the server's home: ``mlflow.db`` and ``artifacts``.
        server_uri: the server's address.
    """
    match api:
        case "mlflow":
            folders = _fill(home / "mlflow.db", layout, _SERVED, "", _writer(home / "artifacts"))
            yield FileTree(api, server_uri, "", folders, (), _port(server_uri))
        case "s3":
            with servers.s3_server(home / "s3.log") as endpoint:
                yield _in_bucket(api, backends.s3(endpoint), endpoint, "", home, layout)
        case "gcs":
            with servers.gcs_server(home / "gcs.log") as endpoint:
                yield _in_bucket(api, backends.gcs(endpoint), endpoint, "", home, layout)
        case "azure":
            with servers.azure_server(home / "azure.log") as endpoint:
                bucket = backends.azure(endpoint)
                query = backends.sas_query(_bucket_name(bucket))
                yield _in_bucket(api, bucket, endpoint, query, home, layout)


def store_variables() -> Mapping[str, str]:
    """Return the variables with the secrets to which the settings of stores refer."""
    return {"STORE_KEY_ID": "AKIDEXAMPLE", "STORE_SECRET": servers.AZURITE_KEY}


def _in_bucket(api: FileApi, bucket: Backend, endpoint: str, query: str, home: Path, layout: Layout) -> FileTree:
    folders = _fill(home / "mlflow.db", layout, f"{bucket.uri}/mlflow/", "mlflow/", bucket.put)
    description = {"prefix": bucket.uri, "prefer": "direct", **bucket.description}
    return FileTree(api, f"{endpoint}/{_bucket_name(bucket)}", query, folders, (description,), _port(endpoint))


def _fill(
    database: Path, layout: Layout, root: str, key_prefix: str, put: Callable[[str, bytes], object]
) -> tuple[str, ...]:
    """Write the registry and the files; return the folders that contain them, as the store names them."""
    versions = layout.versions
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608  # these are the rows of the former layout
    seed(database, "default", Sizes(max(versions // 10, 1), versions, 2, runs=versions, logged_models=versions // 2))
    folders: list[str] = []

    def write(location: str, files: Mapping[str, Callable[[], bytes]]) -> None:
        folder = key_prefix + location.removeprefix(root)
        folders.append(folder)
        for name, content in files.items():
            put(f"{folder}/{name}", content())

    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for table, column in _LOCATIONS.items():
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (_SERVED, root))  # noqa: S608
        connection.execute(_SOURCE_IN_RUN)
        for (location,) in connection.execute("SELECT artifact_location FROM logged_models"):
            write(location, layout.model_files)
        runs = list(connection.execute(_RUN_OF_EACH_VERSION))
    for location, is_model_in_run in runs:
        model_files = {f"model/{name}": content for name, content in layout.model_files.items()}
        files = (model_files if is_model_in_run else {}) | dict(layout.run_files)
        if files:
            write(location, files)
    return tuple(folders)


_TABLES = (
    *("model_version_tags", "model_versions", "registered_model_tags", "registered_models", "logged_models"),
    *("tags", "params", "latest_metrics", "metrics", "runs"),
)
_LOCATIONS = {"runs": "artifact_uri", "logged_models": "artifact_location"}
_SOURCE_IN_RUN = """
    UPDATE model_versions SET source = (SELECT artifact_uri FROM runs WHERE run_uuid = run_id) || '/model'
    WHERE source NOT LIKE 'models:/%'
"""
_RUN_OF_EACH_VERSION = """
    SELECT runs.artifact_uri, logged.model_id IS NULL
    FROM runs LEFT JOIN logged_models AS logged ON logged.source_run_id = runs.run_uuid
"""


def _writer(folder: Path) -> Callable[[str, bytes], None]:
    def put(path: str, content: bytes) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    return put


def _bucket_name(bucket: Backend) -> str:
    return bucket.uri.partition("://")[2].partition("@")[0]


def _port(uri: str) -> int:
    port = urlsplit(uri).port
    assert port
    return port
