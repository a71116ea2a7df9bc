"""The content of a registry, as plain Python objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

Key = tuple[str, int]
"""A model's name and a version's number."""


@dataclass(slots=True, eq=False)
class Folder:
    """The artifact folder of a model, and every state that it was in."""

    path: Path
    files: dict[str, bytes]
    former_hashes: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file, by name."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}

    def had(self, name: str, sha256: str) -> bool:
        """Whether the file had these bytes at some time."""
        return any(state.get(name) == sha256 for state in [*self.former_hashes, self.hashes])

    def lacked(self, name: str) -> bool:
        """Whether the file was missing at some time."""
        return any(name not in state for state in [*self.former_hashes, self.hashes])


@dataclass(slots=True, eq=False)
class TrueRun:
    """A run with an owner of its own, which identifies its versions."""

    run_id: str
    owner: str
    experiment_id: str
    is_deleted: bool = False


@dataclass(slots=True, eq=False)
class TrueVersion:
    """A version, and the run or logged model that it came from."""

    created_at: datetime
    run: TrueRun | None = None
    names_run: bool = False
    """Whether the registry has the run's ID; else only the logged model or the original leads to the run."""
    folder: Folder | None = None
    original: TrueVersion | None = None
    source: str = ""
    stage: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class TrueModel:
    """A registered model. MLflow 3.17 deletes the aliases of a deleted version; up to 3.1, they stay."""

    created_at: datetime
    versions: dict[int, TrueVersion] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
