"""Waivers: gaps that a named person accepts, for a reason and until a date.

A waiver is shown next to a verdict, with the name of its approver, and never replaces the verdict: the rule still
fails, and the badge does not change. A waiver is valid through its day of expiry, UTC; after that, the gap is open
again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import ErrorDetails

from verifywise_mlflow.common.globs import compile_name_patterns
from verifywise_mlflow.compliance.entry_file import EntryFile, has_visible_text, stated_day
from verifywise_mlflow.compliance.yaml_source import YamlSourceError


def _day(value: object) -> object:
    day = stated_day(value)
    if day == date.max:
        raise ValueError("this is the last day of the calendar: write an earlier date")
    return day


_Sentence = Annotated[
    str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True), AfterValidator(has_visible_text)
]
_MAX_VERSION_NUMBER = 2**31 - 1
"""The largest version number that MLflow and our tables can store."""


class WaiversError(ValueError):
    """The file is not a valid waivers file. The message has one line per error: file, line, waiver, field."""


class Waiver(BaseModel):
    """An accepted gap: its rule and versions, who accepted it, why, and until when."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    rule: _Sentence
    """The id of a rule. A waiver is for one rule: gaps must be accepted rule by rule."""
    model: _Sentence
    """A registered model's name, in which ``*`` matches any characters and ``?`` matches one."""
    version: int | None = Field(default=None, ge=1, le=_MAX_VERSION_NUMBER, strict=True)
    """The number of the version. Null means all versions, including future versions."""
    approver: _Sentence
    reason: _Sentence
    expires: Annotated[date, BeforeValidator(_day)]
    """The last day on which the waiver is valid, UTC."""

    def covers(self, rule_id: str, model_name: str, version_number: int) -> bool:
        """Return whether the waiver covers a rule's verdict on a version."""
        if rule_id != self.rule or self.version not in (None, version_number):
            return False
        return self._pattern.fullmatch(model_name) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return compile_name_patterns([self.model])

    @property
    def is_pattern(self) -> bool:
        """Whether the waiver may cover several models, including models that do not exist yet."""
        return any(wildcard in self.model for wildcard in "*?")

    @property
    def ends_at(self) -> datetime:
        """The time from which the waiver is no longer valid."""
        return datetime.combine(self.expires + timedelta(days=1), time(), UTC)

    @property
    def sentence(self) -> str:
        """Who accepted the gap, until when and why."""
        return f"accepted by {self.approver} through {self.expires.isoformat()}: {self.reason}"

    @property
    def about(self) -> str:
        """The rule, model and version that the waiver covers."""
        return f"{self.rule} on {self.model}" + (f" version {self.version}" if self.version else "")


@dataclass(frozen=True, slots=True)
class WaiverChanges:
    """The changes after which the stored waivers match a file."""

    granted: tuple[Waiver, ...]
    withdrawn: tuple[Waiver, ...]
    """Stored waivers, still in force, that the file no longer contains."""


def waiver_changes(stored: Iterable[Waiver], declared: Iterable[Waiver], today: date) -> WaiverChanges:
    """Return the changes that a file makes. A waiver that expired before it was first read is not granted."""
    before, after = dict.fromkeys(stored), dict.fromkeys(declared)
    return WaiverChanges(
        granted=tuple(waiver for waiver in after if waiver not in before and waiver.expires >= today),
        withdrawn=tuple(waiver for waiver in before if waiver not in after and waiver.expires >= today),
    )


class _WaiverEntry(Waiver):
    tenant: _Sentence | None = None


_FILE = EntryFile("waivers", "waiver", _WaiverEntry.model_validate)


def load_waivers(path: Path, tenant_id: str, *, is_own: bool) -> dict[Waiver, str]:
    """Return a tenant's waivers from a YAML file with one key ``waivers``; each maps to its place: file, line, number.

    An empty file is rejected: it may be half written, and it would withdraw all waivers.

    Args:
        path: the file.
        tenant_id: the tenant.
        is_own: whether the file belongs to this tenant alone; in a shared file, each waiver names its ``tenant``.

    Raises:
        WaiversError: the file is missing, is not YAML, or contains an invalid waiver, of this tenant or of another
            tenant.
    """
    try:
        found = _FILE.read(path, tenant_id, is_own=is_own)
    except YamlSourceError as error:
        raise WaiversError(str(error)) from error
    waivers: dict[Waiver, str] = {}
    for located in found.entries:
        waiver = Waiver.model_validate(located.entry.model_dump(exclude={"tenant"}))
        if waiver in waivers:
            found.errors.append(f"{located.location}: the same waiver occurs twice: remove one")
        waivers[waiver] = located.location
    if found.errors:
        raise WaiversError("\n".join(found.errors))
    return waivers


def waiver_error(detail: ErrorDetails) -> str:
    """Return what is wrong with a field of a waiver, as a sentence."""
    return _FILE.problem(detail["loc"], detail["type"], detail["msg"])
