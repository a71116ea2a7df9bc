"""Artifact URIs as places that can be compared: an anchor and the path's segments below it.

MLflow writes one folder in many ways: ``/x``, ``file:/x``, ``file:///x``, ``C:\\x``, ``file:C:/x``, with and
without percent signs and trailing slashes. Text comparison would take ``s3://b/run-10`` for a part of
``s3://b/run-1``; segments do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)  # two letters at least: `C:` is a drive
_DRIVE = re.compile(r"/*([A-Za-z]):(?=[\\/]|$)")
_DECODINGS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URI points to. ``anchor`` is what stands before the path, e.g. ``s3://bucket`` or ``file:/``."""

    scheme: str
    anchor: str
    segments: tuple[str, ...]

    @property
    def climbs(self) -> bool:
        """True where some reader of the path might leave it: ``..``, or a separator inside a segment, also escaped."""
        return any(_is_dangerous(segment) for segment in self.segments)

    def below(self, root: Place) -> tuple[str, ...] | None:
        """The segments that lead here from ``root``: empty for ``root`` itself, ``None`` outside of it."""
        length = len(root.segments)
        if self.anchor != root.anchor or self.segments[:length] != root.segments:
            return None
        return self.segments[length:]


def read_uri(uri: str, *, unescape: bool = True) -> Place:
    """Read any URI or path. Never raises: what is no URI is a relative path.

    Args:
        uri: As MLflow gives it.
        unescape: Whether ``%20`` is a blank. MLflow's own file and HTTP stores say yes, its object stores say no.
    """
    match = _SCHEME.fullmatch(uri)
    scheme, rest = (match[1].lower(), match[2]) if match else ("file", uri)
    authority, path = "", rest
    if rest.startswith("\\\\"):  # a Windows share: \\host\share
        authority, _, path = rest[2:].replace("\\", "/").partition("/")
        path = "/" + path
    elif match and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        path = slash + path
    if scheme == "file" and (_DRIVE.match(authority) or authority == "localhost"):
        authority, path = "", (path if authority == "localhost" else authority + path)
    if scheme == "file" and not authority and (drive := _DRIVE.match(path)):
        anchor = f"file:{drive[1].upper()}:/"
        path = path[drive.end() :].replace("\\", "/")
    elif authority:
        anchor = f"{scheme}://{authority}"
    elif scheme == "file":
        anchor = "file:/" if path.startswith("/") else "file:"
    else:
        anchor = f"{scheme}:"
    segments = (unquote(segment) if unescape else segment for segment in path.split("/"))
    return Place(scheme, anchor, tuple(segment for segment in segments if segment not in ("", ".")))


def is_plain(uri: str) -> bool:
    """Whether all readers of a URI take it for the same place: no empty or ``.`` names, no query, nothing that climbs.

    ``read_uri`` overlooks the former, so that forms of one folder compare equal; a bucket does not.
    """
    match = _SCHEME.fullmatch(uri)
    path = match[2] if match else uri
    if match and path.startswith("//"):
        path = "/" + path[2:].partition("/")[2]
    names = path.removeprefix("/").removesuffix("/").split("/")
    if names == [""]:
        names = []
    if any(name in ("", ".") or any(mark in name for mark in "?#\\") for name in names):
        return False
    return uri.isprintable() and not read_uri(uri).climbs and not read_uri(uri, unescape=False).climbs


def allowed(uri: str, allowed_locations: Sequence[str] | None) -> bool:
    """Whether the tenant lets files at ``uri`` be read.

    Args:
        uri: The resolved URI of a folder. ``runs:/`` and ``models:/`` do not say where the bytes lie, so a list
            never holds them.
        allowed_locations: URI prefixes, taken as whole path segments and written as MLflow writes the URI.
            ``None`` allows whatever the tracking server itself serves; an empty list only its own store.
    """
    if allowed_locations is None:
        return True
    place = read_uri(uri)
    if place.climbs:
        return False
    # With a host in it (mlflow-artifacts://host/…) the URI may be some other server's.
    if place.anchor == "mlflow-artifacts:":
        return True
    # Stores disagree on whether a percent sign is an escape, so the URI must lie beneath the prefix in both readings:
    # else s3://b/te%61m-x would pass for s3://b/team-x and then be opened as what it literally says.
    return any(
        prefix.strip()
        and place.below(read_uri(prefix)) is not None
        and read_uri(uri, unescape=False).below(read_uri(prefix, unescape=False)) is not None
        for prefix in allowed_locations
    )


def _is_dangerous(segment: str) -> bool:
    for _ in range(_DECODINGS):  # %252e is a dot to whoever decodes twice
        if segment in ("..", ".") or any(mark in segment for mark in "/\\\0"):
            return True
        decoded = unquote(segment)
        if decoded == segment:
            return False
        segment = decoded
    return True  # nobody escapes a name five times in good faith
