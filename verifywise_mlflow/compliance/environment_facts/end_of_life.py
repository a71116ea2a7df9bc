"""The variable ``end_of_life``: when support for a version's Python ends, and how old its MLflow is.

* ``python``: the last day on which the line of Python gets security fixes, as a text for ``timestamp()``;
* ``mlflow_released``: the day of the first release of the line of MLflow, also as a text for ``timestamp()``. A line
  that is newer than all known lines gets the day of the newest known line: it cannot be older than that line.

The member about Python or MLflow is left out if the environment states no version of this software, or a version of an
unknown line.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache, cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.validation_messages import validation_messages
from verifywise_mlflow.compliance.yaml_source import YamlSourceError, read_yaml_source
from verifywise_mlflow.normalizer.record import CanonicalRecord

Line = Annotated[str, Field(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}$")]
"""The first two numbers of a version, such as ``3.11``."""


class EndOfLifeError(ValueError):
    """The file cannot be used. The message has one line per error: file, line, field."""


class EndOfLife(BaseModel):
    """The known days of each line."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    python: Mapping[Line, date] = Field(default_factory=dict)
    """The last day on which the line gets security fixes."""
    mlflow: Mapping[Line, date] = Field(default_factory=dict)
    """The day of the first release of the line."""

    @property
    def digest(self) -> str:
        """SHA-256 of the days, in hex."""
        return sha256_of(canonical_json(self.model_dump(mode="json")))

    def of(self, record: CanonicalRecord) -> dict[str, Json]:
        """Return the variable for a record."""
        environment = record.runtime_environment if isinstance(record.runtime_environment, Mapping) else {}
        days = {
            "python": self.python.get(_line(environment.get("python_version")) or ""),
            "mlflow_released": self._release(_line(environment.get("mlflow_version"))),
        }
        return {name: f"{day}T00:00:00Z" for name, day in days.items() if day}

    def _release(self, line: str | None) -> date | None:
        if line is None or self._newest is None:
            return None
        return self.mlflow[self._newest] if Version(line) > Version(self._newest) else self.mlflow.get(line)

    @cached_property
    def _newest(self) -> str | None:
        return max(self.mlflow, key=Version, default=None)


@cache
def shipped_end_of_life() -> EndOfLife:
    """Return the days that come with the package."""
    with as_file(files("verifywise_mlflow.compliance") / "end_of_life.yaml") as path:
        return _load(path)


def load_end_of_life(path: Path | None) -> EndOfLife:
    """Return the days that come with the package, overridden by the days in a file.

    Raises:
        EndOfLifeError: the file cannot be read, or does not have the expected form.
    """
    shipped = shipped_end_of_life()
    if path is None:
        return shipped
    own = _load(path)
    return EndOfLife(python={**shipped.python, **own.python}, mlflow={**shipped.mlflow, **own.mlflow})


def _load(path: Path) -> EndOfLife:
    try:
        source = read_yaml_source(path, expected="write python and mlflow at the top level, and under them line: date")
        return EndOfLife.model_validate(source.document)
    except YamlSourceError as error:
        raise EndOfLifeError(str(error)) from error
    except ValidationError as error:
        raise EndOfLifeError("\n".join(validation_messages(error, source))) from error


@lru_cache(maxsize=1_024)
def _line(version: object) -> str | None:
    try:
        parsed = Version(version) if isinstance(version, str) else None
    except InvalidVersion:
        return None
    return f"{parsed.major}.{parsed.minor}" if parsed else None
