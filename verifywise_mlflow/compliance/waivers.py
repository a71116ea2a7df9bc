"""Waivers: gaps that somebody with a name accepts, for a reason and until a day.

A waiver stands beside a verdict and never in its place: the rule still fails, the badge keeps its word, and next to it
stands who accepted that. It holds through its day of expiry, UTC; from then on the gap is open again by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from verifywise_mlflow.strict_yaml import UniqueKeyLoader

_Sentence = Annotated[str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True)]


class WaiversError(ValueError):
    """The file holds no waivers that can be used. The message has a line for each error: file, waiver, field."""


class Waiver(BaseModel):
    """What is accepted, by whom, why and until when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: _Sentence
    """The id of a rule. One waiver is for one rule: what is accepted has to be looked at rule by rule."""
    model: _Sentence
    """A registered model's name, in which ``*`` stands for any characters and ``?`` for one."""
    version: int | None = Field(default=None, ge=1)
    """Null: all versions, those that are still to come included."""
    approver: _Sentence
    reason: _Sentence
    expires: date
    """The last day on which it holds, UTC."""

    def covers(self, rule_id: str, model_name: str, version_number: int) -> bool:
        """Return whether it is about a rule's verdict on a version."""
        if rule_id != self.rule or self.version not in (None, version_number):
            return False
        return _matches(self.model, model_name)

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


def _matches(pattern: str, name: str) -> bool:
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None


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

    Args:
        path: the file.
        tenant_id: whose.
        is_own: whether the file is the tenant's alone; in one that several share, each waiver names its ``tenant``.

    Raises:
        WaiversError: the file is missing, no YAML, or says something that is no waiver; also of another tenant, since
            it has to be mended all the same.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise WaiversError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise WaiversError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    listed = document.get("waivers") if isinstance(document, Mapping) and set(document) == {"waivers"} else None
    if document is not None and not isinstance(listed, list):
        raise WaiversError(f"{path}: write one key 'waivers' at the top, and under it a list")
    found: dict[Waiver, None] = {}
    wrong: list[str] = []
    for number, written in enumerate(listed or [], start=1):
        place = f"{path}: waiver {number}"
        try:
            one = _OfTenant.model_validate(written)
        except ValidationError as error:
            wrong += [
                f"{place}: {'.'.join(map(str, detail['loc'])) or 'the waiver'}: {detail['msg']}"
                for detail in error.errors(include_url=False)
            ]
            continue
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
