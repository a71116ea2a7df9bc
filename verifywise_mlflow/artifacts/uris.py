"""Artifact URIs in a comparable form: an anchor and the path segments below it.

MLflow writes one folder in many ways: ``/x``, ``file:/x``, ``file:///x``, ``C:\\x``, ``file:C:/x``, with and
without percent signs and trailing slashes. A comparison of texts would take ``s3://b/run-10`` for a part of
``s3://b/run-1``. A comparison of segments avoids this error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)  # two letters at least: `C:` is a drive
_DRIVE = re.compile(r"/*([A-Za-z]):(?=[\\/]|$)")
_MAX_DECODINGS = 5
_MAX_CACHED_CHARS = 1_024
"""The maximum number of characters of a text that is cached, so that a hostile server cannot fill the memory."""
_CACHED = 256
"""The number of cached results per function: several checks parse the location of one version, and the prefixes of all
stores."""


@dataclass(frozen=True, slots=True)
class ArtifactUri:
    """A parsed URI. ``anchor`` is everything before the path, e.g. ``s3://bucket`` or ``file:/``."""

    scheme: str
    anchor: str
    segments: tuple[str, ...]

    @property
    def has_path_traversal(self) -> bool:
        """Whether a reader could leave the path by ``..`` or by a separator inside a segment, escaped or not."""
        return any(_is_traversal(segment) for segment in self.segments)

    def relative_to(self, root: ArtifactUri) -> tuple[str, ...] | None:
        """Return the segments below ``root``: empty for ``root`` itself, ``None`` if this URI is outside of it."""
        length = len(root.segments)
        if self.anchor != root.anchor or self.segments[:length] != root.segments:
            return None
        return self.segments[length:]


def parse_uri(uri: str, *, unescape: bool = True) -> ArtifactUri:
    """Parse any URI or path. Never raises: text that is not a URI is a relative path.

    Args:
        uri: The text that MLflow returns.
        unescape: Whether ``%20`` means a space, as in MLflow's file and HTTP stores, but not in its object stores.
    """
    return (_parse if len(uri) > _MAX_CACHED_CHARS else _parse_cached)(uri, unescape)


def _parse(uri: str, unescape: bool) -> ArtifactUri:
    match = _SCHEME.fullmatch(uri)
    scheme, remainder = (match[1].lower(), match[2]) if match else ("file", uri)
    authority, path = "", remainder
    if remainder.startswith("\\\\"):  # a Windows share: \\host\share
        authority, _, path = remainder[2:].replace("\\", "/").partition("/")
        path = "/" + path
    elif match and remainder.startswith("//"):
        authority, slash, path = remainder[2:].partition("/")
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
    return ArtifactUri(scheme, anchor, tuple(segment for segment in segments if segment not in ("", ".")))


_parse_cached = lru_cache(_CACHED)(_parse)


def is_unambiguous(uri: str) -> bool:
    """Whether all readers resolve a URI to the same location: no empty or ``.`` segment, no query, no path traversal.

    ``parse_uri`` drops empty and ``.`` segments, so that different forms of one folder compare equal. In a bucket, they
    are different keys.
    """
    return (_is_unambiguous if len(uri) > _MAX_CACHED_CHARS else _is_unambiguous_cached)(uri)


def _is_unambiguous(uri: str) -> bool:
    match = _SCHEME.fullmatch(uri)
    path = match[2] if match else uri
    if match and path.startswith("//"):
        path = "/" + path[2:].partition("/")[2]
    names = path.removeprefix("/").removesuffix("/").split("/")
    if names == [""]:
        names = []
    if any(name in ("", ".") or any(mark in name for mark in "?#\\") for name in names):
        return False
    forms = (parse_uri(uri), parse_uri(uri, unescape=False))
    return uri.isprintable() and not any(form.has_path_traversal for form in forms)


_is_unambiguous_cached = lru_cache(_CACHED)(_is_unambiguous)


def is_allowed_location(uri: str, allowed_locations: Sequence[str] | None) -> bool:
    """Whether the tenant's settings allow reading files at ``uri``.

    Args:
        uri: The resolved URI of a folder. ``runs:/`` and ``models:/`` do not state where the bytes are, so no list of
            locations contains them.
        allowed_locations: URI prefixes of whole path segments, written as MLflow writes URIs. ``None`` allows
            everything that the tracking server serves; an empty list allows only the server's own store.
    """
    if allowed_locations is None:
        return True
    parsed = parse_uri(uri)
    if parsed.has_path_traversal:
        return False
    # With a host (mlflow-artifacts://host/…) the URI may belong to another server.
    if parsed.anchor == "mlflow-artifacts:":
        return True
    # Stores disagree on whether a percent sign is an escape, so the URI must be below the prefix in both readings.
    # Otherwise s3://b/te%61m-x would be accepted as s3://b/team-x and then opened under its literal name.
    return any(
        prefix.strip()
        and parsed.relative_to(parse_uri(prefix)) is not None
        and parse_uri(uri, unescape=False).relative_to(parse_uri(prefix, unescape=False)) is not None
        for prefix in allowed_locations
    )


def _is_traversal(segment: str) -> bool:
    for _ in range(_MAX_DECODINGS):  # %252e is a dot to a reader that decodes twice
        if segment in ("..", ".") or any(mark in segment for mark in "/\\\0"):
            return True
        decoded = unquote(segment)
        if decoded == segment:
            return False
        segment = decoded
    return True  # nobody escapes a name five times for a legitimate reason
