"""The variable ``vulnerabilities``: the entries of a copy of OSV about the packages that a version pins.

* ``copy_given``: whether the operator gave a copy;
* ``problem``: why the copy cannot be read; empty otherwise. Without a readable copy, no further member exists;
* ``copy_date``: when the newest entry was modified, as a text for ``timestamp()``; left out if no entry states it;
* ``copy_digest``: the copy's SHA-256;
* ``checked_count``: the number of packages that were compared, if the version's environment is recorded;
* ``unchecked``: the names of packages without an exact version, except build tools such as pip; after ``MAX_LISTED``
  names, the last entry states how many more there are;
* ``known``: the vulnerabilities as ``{package, id, severity, text}``, the most severe first, at most ``MAX_LISTED``;
  ``text`` names all three and the version. An entry that states no severity counts as 10.

The lists are short enough to be stored with the verdict. So the verdict can be computed again when the copy is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from verifywise_mlflow.artifacts.environment.environment_file import BUILD_TOOLS
from verifywise_mlflow.artifacts.environment.requirements import exact_pin
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.environment_facts.advisory import UNRATED, Advisory
from verifywise_mlflow.compliance.environment_facts.vulnerability_copy import (
    VulnerabilityCopy,
    VulnerabilityCopyError,
)
from verifywise_mlflow.normalizer.record import CanonicalRecord

MAX_LISTED: Final = 8
_MAX_NAME_LENGTH: Final = 30
"""The maximum length of a name, an id or a version, in characters. A list of ``MAX_LISTED`` entries then stays below
the limit of bytes that are stored with a verdict (``input_hash.MAX_VALUE_BYTES``)."""

_NOT_PLAIN: Final = re.compile(r"[^ !#-\[\]-~]")


@dataclass(frozen=True, slots=True)
class _Pins:
    versions: Mapping[str, frozenset[Version]]
    """Package to the versions that the files pin; more than one version if the files disagree."""
    unpinned: tuple[str, ...]


def vulnerabilities_of(
    record: CanonicalRecord, copy: VulnerabilityCopy | VulnerabilityCopyError | None
) -> dict[str, Json]:
    """Return the variable for a record."""
    if copy is None:
        return {"copy_given": False, "problem": ""}
    if isinstance(copy, VulnerabilityCopyError):
        return {"copy_given": True, "problem": copy.reason}
    facts: dict[str, Json] = {"copy_given": True, "problem": "", "copy_digest": copy.digest}
    try:
        if copy.date:
            facts["copy_date"] = copy.date
        pins = _pins(record)
        if pins is None:
            return facts
        known = sorted(_known(pins, copy), key=_by_severity)
    except VulnerabilityCopyError as error:
        return {"copy_given": True, "problem": error.reason}
    return facts | {
        "checked_count": len(pins.versions),
        "unchecked": _shortened(pins.unpinned),
        "known": known[:MAX_LISTED],
    }


def _short(text: str) -> str:
    """Return a shortened text in which each character takes one byte of JSON."""
    return _NOT_PLAIN.sub("?", text[:_MAX_NAME_LENGTH])


def _shortened(names: Sequence[str]) -> list[Json]:
    listed: list[Json] = [_short(name) for name in names[:MAX_LISTED]]
    return [*listed, f"{len(names) - MAX_LISTED} more"] if len(names) > MAX_LISTED else listed


def _pins(record: CanonicalRecord) -> _Pins | None:
    environment = record.runtime_environment
    packages = environment.get("packages") if isinstance(environment, Mapping) else None
    if not isinstance(packages, Sequence) or isinstance(packages, str):
        return None
    versions: dict[str, set[Version]] = {}
    named: set[str] = set()
    for package in packages:
        if isinstance(package, Mapping):
            name = canonicalize_name(str(package.get("name")))
            named.add(name)
            if version := _pinned_version(str(package.get("specifier") or "")):
                versions.setdefault(name, set()).add(version)
    unpinned = sorted(named - versions.keys() - BUILD_TOOLS)
    return _Pins({name: frozenset(pinned) for name, pinned in versions.items()}, tuple(unpinned))


@lru_cache(maxsize=10_000)
def _pinned_version(specifier: str) -> Version | None:
    try:
        pin = exact_pin(specifier)
        # The local part is removed: OSV lists torch 2.1.0, and torch 2.1.0+cu118 is affected, too.
        return Version(Version(pin).public) if pin else None
    except (InvalidVersion, ValueError):
        return None  # a version that only conda has, or a link: OSV has no such version


def _known(pins: _Pins, copy: VulnerabilityCopy) -> Iterator[dict[str, Json]]:
    """Yield each vulnerability once for each package version, even if several databases describe it."""
    for package, versions in sorted(pins.versions.items()):
        for version in sorted(versions):
            for group in _same(copy.affecting(package, version)):
                scores = [advisory.severity for advisory in group if advisory.severity is not None]
                name, at, identifier = map(_short, (package, str(version), _common_name(group)))
                severity = f"severity {max(scores):.1f}" if scores else "severity not stated"
                yield {
                    "package": name,
                    "id": identifier,
                    "severity": max(scores, default=UNRATED),
                    "text": f"{name} {at}: {identifier}, {severity}",
                }


def _same(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """Group the entries that describe the same vulnerability: entries that share an id or an alias."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in advisories:
        names, members = set(advisory.names), [advisory]
        for group in [group for group in groups if group[0] & names]:
            groups.remove(group)
            names |= group[0]
            members = [*group[1], *members]
        groups.append((names, members))
    return [members for _, members in groups]


def _common_name(group: Sequence[Advisory]) -> str:
    names = sorted({name for advisory in group for name in advisory.names})
    return next((name for name in names if name.startswith("CVE-")), min(advisory.id for advisory in group))


def _by_severity(known: Mapping[str, Json]) -> tuple[float, str, str]:
    severity = known["severity"]
    assert isinstance(severity, float)
    return -severity, str(known["package"]), str(known["id"])
