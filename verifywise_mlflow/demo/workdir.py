"""The demo's directory: where everything lies, whether an earlier demo can be resumed, and who may remove it."""

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

LAYOUT = 2
"""Raised when a demo that an older release left can no longer be resumed."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the demo had last time, so that bookmarks stay true where they are still free."""

    mlflow: int
    dagster: int


class DemoHome:
    """The places in the demo's directory."""

    def __init__(self, path: Path) -> None:
        """Describe the directory; nothing is created yet."""
        self.path = path.absolute()
        self.postgres = self.path / "postgres"
        self.artifacts = self.path / "mlflow_artifacts"
        self.dagster = self.path / "dagster_home"
        self.logs = self.path / "logs"
        self.tenants_file = self.path / "tenants.yaml"
        self.waivers_file = self.path / "waivers.yaml"
        self.environment_file = self.path / "environment"
        self._lock = self.path / "demo.lock"
        self._marker = self.path / "complete.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the directory to ourselves: two demos in one would stop each other's Postgres.

        Raises:
            DemoError: another demo has it, or it is a directory of something else.
        """
        # The lock file also marks the directory as a demo's, which may be removed as a whole.
        if self.path.exists() and not self._lock.exists() and any(self.path.iterdir()):
            raise DemoError(f"{self.path} holds something else than a demo: choose another directory with --home")
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DemoError(
                    f"another demo runs in {self.path}: stop it first, or choose another directory with --home"
                ) from None
            yield

    def is_new(self) -> bool:
        """Whether no demo was here before."""
        return {entry.name for entry in self.path.iterdir()} <= {self._lock.name}

    def earlier_ports(self) -> Ports | None:
        """Return the ports of a complete earlier demo; none if there is nothing that could be resumed."""
        try:
            marker = json.loads(self._marker.read_text())
            ports = Ports(**marker["ports"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # A database in a temporary directory (postgres_home.py tells when) may have been cleaned away meanwhile.
        complete = (
            marker.get("layout") == LAYOUT and (self.postgres / "PG_VERSION").exists() and self.artifacts.exists()
        )
        return ports if complete else None

    def remember(self, ports: Ports) -> None:
        """Note that the registries are filled, and the ports: from here on, the demo can be resumed."""
        new = self._marker.with_suffix(".new")
        new.write_text(json.dumps({"layout": LAYOUT, "ports": asdict(ports)}))
        new.replace(self._marker)

    def clear(self) -> None:
        """Remove what an earlier demo left; only the lock stays."""
        self._marker.unlink(missing_ok=True)  # first: what is half removed must not be resumed
        remove_postgres(self.postgres)
        for entry in self.path.iterdir():
            if entry == self._lock:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
