"""One entry of OSV, and the check whether it affects a version of a package.

The form is that of https://ossf.github.io/osv-schema. A version is affected if ``versions`` lists it, or if it lies in
one of the ranges of type ECOSYSTEM, whose events are compared in the order of versions that PEP 440 defines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ECOSYSTEM: Final = "PyPI"

UNRATED: Final = 10.0
"""The severity of an entry that states none, such as an entry about a malicious package. It is not assumed harmless."""

_CALCULATORS: Final = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
_LEAST_SCORES: Final = {"LOW": 0.1, "MODERATE": 4.0, "MEDIUM": 4.0, "HIGH": 7.0, "CRITICAL": 9.0}
"""The lowest CVSS score of each rating (CVSS 3.1, section 5), for entries that have a rating but no vector."""

_INTRODUCED, _FIXED, _LAST_AFFECTED = "introduced", "fixed", "last_affected"
_BEGINNING: Final = Version("0.dev0")


@dataclass(frozen=True, slots=True)
class Advisory:
    """The part of an entry about one package."""

    id: str
    names: frozenset[str]
    """The id and its aliases."""
    severity: float | None
    """The CVSS score, 0 to 10; None if the entry states no score."""
    versions: frozenset[str]
    ranges: tuple[tuple[tuple[Version, str], ...], ...]
    """The events of each range, sorted."""

    def affects(self, version: Version) -> bool:
        """Return whether a version of the package is affected."""
        return str(version) in self.versions or any(_contains(events, version) for events in self.ranges)


def advisories(entry: Mapping[str, object], package: str) -> Iterator[Advisory]:
    """Yield the parts of an entry about a package, whose name is canonical; none if the entry is withdrawn."""
    identifier = entry.get("id")
    if entry.get("withdrawn") or not isinstance(identifier, str):
        return
    aliases = [alias for alias in _list(entry.get("aliases")) if isinstance(alias, str)]
    for affected in _affected(entry):
        if package_name(affected) == package:
            yield Advisory(
                id=identifier,
                names=frozenset((identifier, *aliases)),
                severity=_severity(affected, entry),
                versions=frozenset(_normal_versions(_list(affected.get("versions")))),
                ranges=tuple(_ranges(_list(affected.get("ranges")))),
            )


def package_names(entry: Mapping[str, object]) -> set[str]:
    """Return the canonical names of the packages that an entry is about; none if it is withdrawn."""
    return set() if entry.get("withdrawn") else {name for part in _affected(entry) if (name := package_name(part))}


def package_name(affected: Mapping[str, object]) -> str | None:
    """Return the canonical name of a package of PyPI; None for another ecosystem."""
    package = affected.get("package")
    if not isinstance(package, Mapping):
        return None
    name, ecosystem = package.get("name"), package.get("ecosystem")
    # An ecosystem may have a suffix, as in `PyPI:https://example.org/simple`.
    if not isinstance(name, str) or str(ecosystem).partition(":")[0] != ECOSYSTEM:
        return None
    return canonicalize_name(name)


def _affected(entry: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    return (affected for affected in _list(entry.get("affected")) if isinstance(affected, Mapping))


def _contains(events: Sequence[tuple[Version, str]], version: Version) -> bool:
    is_affected = False
    for at, kind in events:
        if kind == _INTRODUCED and version >= at:
            is_affected = True
        elif (kind == _FIXED and version >= at) or (kind == _LAST_AFFECTED and version > at):
            is_affected = False
    return is_affected


def _ranges(ranges: Iterable[object]) -> Iterator[tuple[tuple[Version, str], ...]]:
    for described in ranges:
        if not isinstance(described, Mapping) or described.get("type") != "ECOSYSTEM":
            continue  # commits of a repository do not state the affected releases
        events = [
            (at, kind)
            for event in _list(described.get("events"))
            if isinstance(event, Mapping)
            for kind in (_INTRODUCED, _FIXED, _LAST_AFFECTED)
            if (at := _event_version(event.get(kind))) is not None
        ]
        # If one range ends where another begins, the end comes first.
        yield tuple(sorted(events, key=lambda event: (event[0], event[1] == _INTRODUCED)))


def _event_version(value: object) -> Version | None:
    if value == "0":
        return _BEGINNING
    try:
        return Version(value) if isinstance(value, str) else None
    except InvalidVersion:
        return None


def _normal_versions(versions: Iterable[object]) -> Iterator[str]:
    for text in versions:
        if isinstance(text, str):
            try:
                yield str(Version(text))
            except InvalidVersion:
                yield text


def _severity(affected: Mapping[str, object], entry: Mapping[str, object]) -> float | None:
    """Return the highest score of the vectors. Without a vector, return the lowest score of the rating."""
    scores = [score for part in (affected, entry) for score in _scores(_list(part.get("severity")))]
    if scores:
        return max(scores)
    ratings = [part.get(key) for part in (affected, entry) for key in ("database_specific", "ecosystem_specific")]
    words = [str(rating.get("severity")).upper() for rating in ratings if isinstance(rating, Mapping)]
    return max((_LEAST_SCORES[word] for word in words if word in _LEAST_SCORES), default=None)


def _scores(severities: Iterable[object]) -> Iterator[float]:
    for severity in severities:
        if isinstance(severity, Mapping) and (calculator := _CALCULATORS.get(str(severity.get("type")))):
            try:
                yield float(calculator(str(severity.get("score"))).scores()[0])
            except CVSSError:
                continue  # a vector that cannot be parsed states no severity


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
