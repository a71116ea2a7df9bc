"""A real registry and its twin, a model of its content in plain Python. Conclusions are compared with the twin.

Each method changes both. An artifact folder is changed on the server's disk, without MLflow, as a person could do it.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion

from verifywise_mlflow_tests.histories.truth import Folder, Key, TrueModel, TrueRun, TrueVersion

SourceKind = Literal["run", "logged model", "logged model path", "elsewhere"]

SOURCE_KINDS: tuple[SourceKind, ...] = ("run", "logged model", "logged model path", "elsewhere")


@dataclass(slots=True)
class TwinRegistry:
    """A workspace of the server, and the twin of its content."""

    client: MlflowClient
    workspace: str
    database: Path
    """MLflow's SQLite file."""
    artifacts: Path
    """The server's folder with the artifacts of all workspaces."""
    models: dict[str, TrueModel] = field(default_factory=dict)
    runs: list[TrueRun] = field(default_factory=list)
    is_store_away: bool = False
    _experiment_id: str = ""
    _file_count: int = 0

    def __post_init__(self) -> None:
        self._experiment_id = self.client.create_experiment("trials")

    def versions(self) -> dict[Key, TrueVersion]:
        """Return all versions."""
        return {(name, number): v for name, model in self.models.items() for number, v in model.versions.items()}

    # -- models and versions

    def create_model(self, name: str) -> None:
        """Register a model without versions."""
        created = self.client.create_registered_model(name)
        self.models[name] = TrueModel(_time(created.creation_timestamp))

    def register(self, name: str, kind: SourceKind) -> Key:
        """Register a version of a model, which is created if it does not exist.

        MLflow 3.1 and 3.2 wrote versions with the path of a logged model and without a run ID. MLflow 3.17 reads them.
        """
        run, folder, source, model_id = None, None, f"s3://elsewhere/{name}", None
        if kind == "run":
            run, run_uri = self._log_run()
            folder, source = self._write_folder(f"{run_uri}/model"), f"{run_uri}/model"
        elif kind in ("logged model", "logged model path"):
            run, _ = self._log_run()
            logged = self.client.create_logged_model(self._experiment_id, "model", run.run_id)
            self.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
            folder, model_id = self._write_folder(logged.artifact_location), logged.model_id
            source = f"models:/{model_id}" if kind == "logged model" else logged.artifact_location
        names_run = kind in ("run", "logged model")
        version = TrueVersion(_EPOCH, run, names_run, folder)
        key = self._add_version(name, source, version, model_id)
        if kind == "logged model path":
            self._execute(
                "UPDATE model_versions SET run_id = NULL WHERE workspace = ? AND name = ? AND version = ?", *key
            )
        return key

    def register_again(self, name: str, former: TrueVersion) -> Key:
        """Register a version from the same run and files as another version, which may be deleted."""
        return self._add_version(
            name, former.source, TrueVersion(_EPOCH, former.run, former.names_run, former.folder, former.original)
        )

    def copy(self, key: Key, name: str, *, with_run: bool) -> Key:
        """Register a copy, with or without the run of its original, as MLflow's client or a REST client does."""
        original = self.versions()[key]
        copied = TrueVersion(_EPOCH, original.run, original.names_run and with_run, original.folder, original)
        return self._add_version(name, f"models:/{key[0]}/{key[1]}", copied)

    def rename(self, name: str, new_name: str) -> None:
        """Rename a model."""
        self.client.rename_registered_model(name, new_name)
        self.models[new_name] = self.models.pop(name)

    def delete_model(self, name: str) -> None:
        """Delete a model with its versions and aliases."""
        self.client.delete_registered_model(name)
        del self.models[name]

    def delete_version(self, key: Key, *, leave_aliases: bool = False) -> None:
        """Delete a version. Its aliases stay as on MLflow up to 3.1, or are deleted as from 3.17 on."""
        name, number = key
        self.client.delete_model_version(name, str(number))
        model = self.models[name]
        del model.versions[number]
        pointing = [alias for alias, target in model.aliases.items() if target == number]
        for alias in pointing:
            if leave_aliases:
                self._execute(
                    "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES (?, ?, ?, ?)",
                    *(name, alias, number),
                )
            else:
                del model.aliases[alias]

    def set_alias(self, key: Key, alias: str) -> None:
        """Let an alias point to a version."""
        self.client.set_registered_model_alias(key[0], alias, str(key[1]))
        self.models[key[0]].aliases[alias] = key[1]

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self.client.delete_registered_model_alias(name, alias)
        del self.models[name].aliases[alias]

    def transition(self, key: Key, stage: str, *, archive_others: bool) -> None:
        """Set a version's stage; archive the other versions of that stage on request."""
        name, number = key
        archives = archive_others and stage in ("Staging", "Production")
        self.client.transition_model_version_stage(name, str(number), stage, archive_existing_versions=archives)
        for other_number, version in self.models[name].versions.items():
            if other_number == number:
                version.stage = None if stage == "None" else stage
            elif archives and version.stage == stage:
                version.stage = "Archived"

    def set_status(self, key: Key, status: str) -> None:
        """Set the status of a version's registration, as a server does while it copies the files."""
        self._execute(
            f"UPDATE model_versions SET status = '{status}' WHERE workspace = ? AND name = ? AND version = ?", *key
        )

    def tag_version(self, key: Key, name: str, value: str) -> None:
        """Set a tag of a version."""
        self.client.set_model_version_tag(key[0], str(key[1]), name, value)
        self.versions()[key].tags[name] = value

    def tag_model(self, model: str, name: str, value: str) -> None:
        """Set a tag of a model."""
        self.client.set_registered_model_tag(model, name, value)
        self.models[model].tags[name] = value

    # -- runs

    def delete_run(self, run: TrueRun) -> None:
        """Delete a run; MLflow keeps its data until it is purged."""
        self.client.delete_run(run.run_id)
        run.is_deleted = True

    def restore_run(self, run: TrueRun) -> None:
        """Restore a deleted run."""
        self.client.restore_run(run.run_id)
        run.is_deleted = False

    def purge_run(self, key: Key) -> None:
        """Remove a version's run permanently, as ``mlflow gc`` does."""
        run = self.versions()[key].run
        assert run
        self.client.delete_run(run.run_id)
        of_workspace = "experiment_id IN (SELECT experiment_id FROM experiments WHERE workspace = ?)"
        self._execute(f"DELETE FROM runs WHERE {of_workspace} AND run_uuid = ?", run.run_id)

    def delete_experiment(self) -> None:
        """Delete the experiment with all its runs."""
        self.client.delete_experiment(self._experiment_id)
        for run in self.runs:
            run.is_deleted = True

    def restore_experiment(self) -> None:
        """Restore the experiment with all its runs."""
        self.client.restore_experiment(self._experiment_id)
        for run in self.runs:
            run.is_deleted = False

    def delete_logged_models(self) -> None:
        """Delete all logged models; the versions that were registered from them stay."""
        for logged_model in self.client.search_logged_models([self._experiment_id]):
            self.client.delete_logged_model(logged_model.model_id)

    # -- the artifact store

    def take_store_away(self) -> None:
        """Hide the workspace's artifacts from the server, as if a disk were not mounted."""
        self._workspace_folder.rename(self._folder_away)
        self.is_store_away = True

    def bring_store_back(self) -> None:
        """Undo ``take_store_away``."""
        if self._workspace_folder.exists():
            shutil.rmtree(self._workspace_folder)  # the server may have created it again
        self._folder_away.rename(self._workspace_folder)
        self.is_store_away = False

    def write_file(self, folder: Folder, name: str, content: bytes) -> None:
        """Write a file of a model on the server's disk."""
        folder.former_hashes.append(folder.hashes)
        folder.files[name] = content
        (folder.path / name).write_bytes(content)

    def remove_file(self, folder: Folder, name: str) -> None:
        """Remove a file of a model from the server's disk."""
        folder.former_hashes.append(folder.hashes)
        del folder.files[name]
        (folder.path / name).unlink()

    def new_content(self, size: int = 20) -> bytes:
        """Return bytes that no file had before."""
        self._file_count += 1
        return f"weights {self._file_count}".ljust(size).encode()

    @property
    def _workspace_folder(self) -> Path:
        return self.artifacts / "workspaces" / self.workspace

    @property
    def _folder_away(self) -> Path:
        return self.artifacts / f"away-{self.workspace}"

    def _log_run(self) -> tuple[TrueRun, str]:
        owner = f"ada {len(self.runs)}"
        created = self.client.create_run(self._experiment_id, tags={"owner": owner})
        self.client.set_terminated(created.info.run_id)
        run = TrueRun(created.info.run_id, owner, self._experiment_id)
        self.runs.append(run)
        return run, created.info.artifact_uri

    def _write_folder(self, uri: str) -> Folder:
        relative = uri.removeprefix(f"mlflow-artifacts:/workspaces/{self.workspace}/")
        assert relative != uri, uri
        path = self._workspace_folder / relative
        folder = Folder(path, {"weights.bin": self.new_content()})
        path.mkdir(parents=True)
        for name, content in folder.files.items():
            (path / name).write_bytes(content)
        return folder

    def _add_version(self, name: str, source: str, version: TrueVersion, model_id: str | None = None) -> Key:
        if name not in self.models:
            self.create_model(name)
        run_id = version.run.run_id if version.run and version.names_run else None
        created: ModelVersion = self.client.create_model_version(
            name, source, run_id=run_id, await_creation_for=0, model_id=model_id
        )
        version.created_at, version.source = _time(created.creation_timestamp), source
        number = int(created.version)
        self.models[name].versions[number] = version
        return name, number

    def _execute(self, statement: str, *values: str | int) -> None:
        """Write to MLflow's database. The first parameter of the statement is the workspace."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute(statement, (self.workspace, *values))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
