"""The demo's folder: its layout, its lock, and whether an earlier demo in it can be resumed."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from verifywise_mlflow.demo.errors import DemoError
from verifywise_mlflow.demo.servers.postgres import remove_postgres

LAYOUT_VERSION = 4
"""Incremented when a demo of an older release can no longer be resumed."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of an earlier demo. Ports that are still free are reused, so that bookmarks stay valid."""

    mlflow: int
    dagster: int
    verifywise: int | None = None
    """The port of the contract server, if the demo had one."""
    listener: int | None = None
    """The port of the webhook listener, if the demo kept running."""


class Workdir:
    """The files and folders of the demo."""

    def __init__(self, path: Path) -> None:
        """Describe the folder. Nothing is created yet."""
        self.path = path.absolute()
        self.postgres = self.path / "postgres"
        self.artifacts = self.path / "mlflow_artifacts"
        self.dagster = self.path / "dagster_home"
        self.logs = self.path / "logs"
        self.tenants_file = self.path / "tenants.yaml"
        self.waivers_file = self.path / "waivers.yaml"
        self.ai_systems_file = self.path / "ai_systems.yaml"
        self.verifywise = self.path / "verifywise.db"
        self.verifywise_password = self.path / "verifywise.password"
        self.webhooks = self.path / "webhooks"
        self.environment_file = self.path / "environment"
        self._lock = self.path / "demo.lock"
        self._marker = self.path / "complete.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder: two demos in one folder would stop each other's Postgres.

        Raises:
            DemoError: another demo runs in the folder, or the folder holds other files.
        """
        # The lock file also marks the folder as a demo's, so that it may be deleted.
        if self.path.exists() and not self._lock.exists() and any(self.path.iterdir()):
            raise DemoError(f"{self.path} contains files that are not a demo: choose another folder with --home")
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DemoError(
                    f"another demo runs in {self.path}: stop it first, or choose another folder with --home"
                ) from None
            yield

    def is_new(self) -> bool:
        """Return whether no demo has used the folder."""
        return {entry.name for entry in self.path.iterdir()} <= {self._lock.name}

    def earlier_ports(self) -> Ports | None:
        """Return the ports of an earlier demo that can be resumed, or None."""
        try:
            marker = json.loads(self._marker.read_text())
            ports = Ports(**marker["ports"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # A database in a temporary folder (see postgres_home.py) may have been deleted since.
        complete = (
            marker.get("layout") == LAYOUT_VERSION
            and (self.postgres / "PG_VERSION").exists()
            and self.artifacts.exists()
        )
        return ports if complete else None

    def remember(self, ports: Ports) -> None:
        """Record the ports, and that the registries are seeded: from now on the demo can be resumed."""
        new = self._marker.with_suffix(".new")
        new.write_text(json.dumps({"layout": LAYOUT_VERSION, "ports": asdict(ports)}))
        new.replace(self._marker)

    def clear(self) -> None:
        """Delete everything except the lock."""
        self._marker.unlink(missing_ok=True)  # deleted first, so that a half-deleted demo is never resumed
        remove_postgres(self.postgres)
        for entry in self.path.iterdir():
            if entry == self._lock:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
