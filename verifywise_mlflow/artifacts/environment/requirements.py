"""Parses requirements as pip does: requirements.txt, and the ``pip:`` list of a conda.yaml.

A problem names the line and the cause, never the line's text: index URLs and VCS links may contain passwords.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as PipRequirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from verifywise_mlflow.artifacts.environment.environment_file import (
    BUILD_TOOLS,
    EnvironmentFile,
    PackageEntry,
    decode_text,
)
from verifywise_mlflow.artifacts.manifest import Requirement

MAX_LINE_CHARS = 4_000
"""The maximum number of characters of a requirement, without its hashes. Python's int() refuses 4,300 digits."""
MAX_JOINED_CHARS = 100_000
"""The maximum number of characters of a line with its continuation lines. A hash takes about 80 characters, and a
release may have hundreds of files."""
MAX_NAME_CHARS = 200
MAX_LINES = 20_000
"""The maximum number of lines that are parsed: a file of one megabyte can have half a million lines, and each line
takes microseconds."""

_COMMENT = re.compile(r"(?:^|\s)#.*$")  # one space, not `\s+`, which is quadratic on a line of spaces
_OPTION_AT_END = re.compile(r"\s--?[A-Za-z].*$")  # --hash=…, --config-settings=…: no marker or URL contains ` --`
_HASH_OPTION = re.compile(r"\s--hash(?:=|\s+)\S*")
_INCLUDE = re.compile(r"(?:-r|--requirement)[\s=]*(.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]+(.*)")
_USER = re.compile(r"//[^/]*@")
_URL = re.compile(r"(?:[a-z][a-z0-9]*\+)?(?:https?|ssh|git|file|ftp|s3|gs)://|(?:git|hg|svn|bzr)\+", re.IGNORECASE)
_LOCAL_PATH = re.compile(r"\.{0,2}[/\\]|\.{1,2}$|[A-Za-z]:[\\/]|.*\.(?:whl|tar\.gz|zip)$")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?=$|#|\?)")
_HASH = re.compile(r"[#&](?:sha256|sha384|sha512)=[0-9a-fA-F]{64,128}(?=$|&)")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")


def parse_requirements(content: bytes, name: str) -> EnvironmentFile:
    """Parse a requirements.txt."""
    file = EnvironmentFile(name)
    try:
        text = decode_text(content)
    except UnicodeDecodeError:
        file.mark_incomplete("its bytes are not text")
        return file
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        file.mark_incomplete(f"more than {MAX_LINES} lines")
    number, begun = 0, ""
    for number, line in enumerate(lines[:MAX_LINES], start=1):
        if line.endswith("\\") and not line.lstrip().startswith("#") and len(begun) <= MAX_JOINED_CHARS:
            begun += line[:-1]
            continue
        add_requirement(file, begun + line, f"line {number}")
        begun = ""
    add_requirement(file, begun, f"line {number}")
    return file


def add_requirement(file: EnvironmentFile, line: str, label: str) -> None:
    """Add the requirement in one logical line to ``file``, or the reason why it could not be parsed."""
    line = _HASH_OPTION.sub("", line)
    if len(line) > MAX_LINE_CHARS:
        file.mark_incomplete(f"{label} is longer than {MAX_LINE_CHARS} characters")
        return
    line = _COMMENT.sub("", line).strip()
    if not line:
        return
    if include := _INCLUDE.fullmatch(line):
        file.includes.append(include[1].strip())
    elif editable := _EDITABLE.fullmatch(line):
        file.add(_link_entry(editable[1].strip(), file.name))
    elif line.startswith("-"):
        # An index or a constraints file selects versions; it adds no package.
        file.add_problem(f"{label}: {_option_name(line)} is not followed")
    elif _URL.match(line) or (_LOCAL_PATH.match(_OPTION_AT_END.sub("", line)) and "@" not in line):
        file.add(_link_entry(line, file.name))
    else:
        _add_named_package(file, _OPTION_AT_END.sub("", line), label)


def _option_name(line: str) -> str:
    """Return an option without its value. pip also accepts ``-ihttps://user:password@host``, without a space."""
    option = re.match(r"--[\w-]{1,38}|-.?", line)
    return option[0] if option else "an option"


def _add_named_package(file: EnvironmentFile, line: str, label: str) -> None:
    try:
        parsed = PipRequirement(line)
    except (InvalidRequirement, ValueError, RecursionError):
        file.mark_incomplete(f"{label} is not a requirement")
        return
    name = canonicalize_name(parsed.name)
    if parsed.url:
        requirement = Requirement(name, _redacted_link(parsed.url), file.name, _is_pinned_link(parsed.url))
    else:
        requirement = Requirement(
            name, specifier_text(parsed.specifier), file.name, exact_pin(str(parsed.specifier)) is not None
        )
    file.add(PackageEntry(requirement, is_conditional=parsed.marker is not None, is_build_tool=name in BUILD_TOOLS))


def specifier_text(specifiers: SpecifierSet) -> str:
    """Return specifiers in a fixed order, lower bounds first (``>=2,<3``). A ``SpecifierSet`` has no order."""
    return ",".join(sorted(map(str, specifiers), key=lambda text: (text[0] not in "=~", text[0] != ">", text)))


def exact_pin(specifier: str) -> str | None:
    """Return the one version that ``==1.2`` or ``===1.2`` allows, or ``None`` for any other specifier.

    ``specifier`` must be valid.
    """
    if specifier.startswith("@"):
        return None
    exact = (s.version for s in SpecifierSet(specifier) if s.operator in ("==", "===") and not s.version.endswith(".*"))
    return next(exact, None)


def _link_entry(link: str, source: str) -> PackageEntry:
    """Return a package that only a URL or path names. Its name is in ``#egg=``, or is the archive's or folder's."""
    link = link.split(" ", 1)[0]
    is_url = _URL.match(link) is not None
    egg = _EGG.search(link)
    name = egg[1] if egg else _name_from_path(unquote(_USER.sub("//", link.split("#", 1)[0].split("?", 1)[0])))
    specifier = _redacted_link(link) if is_url else "@ local path"
    # A local path is never pinned, even if its file name contains a version.
    return PackageEntry(Requirement(canonicalize_name(name), specifier, source, is_url and _is_pinned_link(link)))


def _name_from_path(path: str) -> str:
    last = PurePosixPath(re.sub(r"@[^/]*$", "", path.replace("\\", "/"))).name
    try:
        if last.endswith(".whl"):
            return parse_wheel_filename(last)[0]
        if last.endswith((".tar.gz", ".zip")):
            return parse_sdist_filename(last)[0]
    except ValueError:
        return _short_name(last)  # not a standard archive name: use the whole name
    return _short_name(last.removesuffix(".git").removeprefix("..")) or "local-path"


def _short_name(name: str) -> str:
    """Return a text that may be a package's name. Any other text is withheld: it could be a part of a secret."""
    return name if len(name) <= MAX_NAME_CHARS else "long-name"


def _is_pinned_link(url: str) -> bool:
    return bool(_HASH.search(url) or _COMMIT.search(url))


def _redacted_link(url: str) -> str:
    """Return ``@ https://host/path``, without user, password, query and fragment: each may be a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@ unreadable URL"
    return f"@ {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
