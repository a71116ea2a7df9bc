"""Waivers: gaps that somebody with a name accepts, for a reason and until a day.

A waiver stands beside a verdict and never in its place: the rule still fails, the badge keeps its word, and next to it
stands who accepted that. It holds through its day of expiry, UTC; from then on the gap is open again by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import translate
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from verifywise_mlflow.compliance.rules.yaml_source import UnreadableError, WrittenFile, read_written


def _legible(text: str) -> str:
    """A name that nobody can see names nobody: control characters and signs without width are none."""
    if not any(sign.isprintable() and not sign.isspace() for sign in text):
        raise ValueError("write something that can be read")
    return text


def _day(written: object) -> object:
    """Numbers and moments are no days, though pydantic takes them for some: 20260630 would be one of 1970."""
    try:
        day = date.fromisoformat(written) if isinstance(written, str) else written
    except ValueError:
        day = None
    if type(day) is not date:  # a datetime is a date, too
        raise ValueError(f"{str(written)!r} is no day: write 2026-12-31")
    if day == date.max:
        raise ValueError("a waiver has to end before the calendar does")
    return day


_Sentence = Annotated[
    str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True), AfterValidator(_legible)
]
_LARGEST = 2**31 - 1
"""Of a version's number, in MLflow and in our tables."""
_EXPECTED = "write one key 'waivers' at the top, and under it a list; where none hold, write waivers: []"


class WaiversError(ValueError):
    """The file holds no waivers that can be used. The message has a line for each error: file, line, waiver, field."""


class Waiver(BaseModel):
    """What is accepted, by whom, why and until when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: _Sentence
    """The id of a rule. One waiver is for one rule: what is accepted has to be looked at rule by rule."""
    model: _Sentence
    """A registered model's name, in which ``*`` stands for any characters and ``?`` for one."""
    version: int | None = Field(default=None, ge=1, le=_LARGEST, strict=True)
    """Null: all versions, those that are still to come included."""
    approver: _Sentence
    reason: _Sentence
    expires: Annotated[date, BeforeValidator(_day)]
    """The last day on which it holds, UTC."""

    def covers(self, rule_id: str, model_name: str, version_number: int) -> bool:
        """Return whether it is about a rule's verdict on a version."""
        if rule_id != self.rule or self.version not in (None, version_number):
            return False
        return self._pattern.fullmatch(model_name) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # The library's expression never goes back over what a * has taken: no pattern takes long, whatever the name.
        return re.compile(translate(self.model.replace("[", "[[]")))

    @property
    def ends_at(self) -> datetime:
        """The first moment at which it no longer holds."""
        return datetime.combine(self.expires + timedelta(days=1), time(), UTC)

    @property
    def sentence(self) -> str:
        """What it says, for people."""
        return f"accepted by {self.approver} through {self.expires.isoformat()}: {self.reason}"

    @property
    def about(self) -> str:
        """What it is about, for people."""
        return f"{self.rule} on {self.model}" + (f" version {self.version}" if self.version else "")


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be done so that what is kept says what a file says."""

    granted: tuple[Waiver, ...]
    withdrawn: tuple[Waiver, ...]
    """They hold no longer because the file does not have them any more."""


def changes(kept: Iterable[Waiver], written: Iterable[Waiver], today: date) -> Changes:
    """Return what a file changes. One that expired before it was seen is not granted any more."""
    held, wanted = dict.fromkeys(kept), dict.fromkeys(written)
    return Changes(
        granted=tuple(one for one in wanted if one not in held and one.expires >= today),
        withdrawn=tuple(one for one in held if one not in wanted and one.expires >= today),
    )


class _OfTenant(Waiver):
    tenant: _Sentence | None = None


def load_waivers(path: Path, tenant_id: str, *, is_own: bool) -> tuple[Waiver, ...]:
    """Return a tenant's waivers out of a YAML file: one key ``waivers``, and under it a list.

    A file that says nothing at all is refused: it is as likely half written, and would withdraw all that holds.

    Args:
        path: the file.
        tenant_id: whose.
        is_own: whether the file is the tenant's alone; in one that several share, each waiver names its ``tenant``.

    Raises:
        WaiversError: the file is missing, no YAML, or says something that is no waiver; also of another tenant, since
            it has to be mended all the same.
    """
    try:
        file = read_written(path, expected=_EXPECTED)
    except UnreadableError as error:
        raise WaiversError(str(error)) from error
    except RecursionError as error:
        raise WaiversError(f"{path}: is not YAML: there is too much within one another") from error
    listed = file.document.get("waivers")
    if set(file.document) != {"waivers"} or not isinstance(listed, list):
        raise WaiversError(f"{path}: {_EXPECTED}")
    found: dict[Waiver, None] = {}
    wrong: list[str] = []
    for index, written in enumerate(listed):
        try:
            one = _OfTenant.model_validate(written)
        except ValidationError as error:
            wrong += _complaints(error, file, index)
            continue
        place = f"{path}:{file.line(('waivers', index))}: waiver {index + 1}"
        if one.tenant is None and not is_own:
            wrong.append(f"{place}: tenant: say whose it is: the file is for all tenants")
        elif one.tenant not in (None, tenant_id):
            if is_own:
                wrong.append(f"{place}: tenant: the file is {tenant_id!r}'s alone, and this one is {one.tenant!r}'s")
        else:
            waiver = Waiver.model_validate(one.model_dump(exclude={"tenant"}))
            if waiver in found:
                wrong.append(f"{place}: it stands here a second time")
            found[waiver] = None
    if wrong:
        raise WaiversError("\n".join(wrong))
    return tuple(found)


def _complaints(error: ValidationError, file: WrittenFile, index: int) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        line = file.line(("waivers", index, *detail["loc"]))
        yield f"{file.path}:{line}: waiver {index + 1}: {waiver_complaint(detail['loc'], detail['msg'])}"


def waiver_complaint(place: tuple[int | str, ...], message: str) -> str:
    """Return what is wrong with a field of a waiver, for people."""
    return f"{'.'.join(map(str, place)) or 'the waiver'}: {message.removeprefix('Value error, ')}"
