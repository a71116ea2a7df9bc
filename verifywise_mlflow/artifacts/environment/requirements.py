"""Requirements as pip reads them: requirements.txt, and the ``pip:`` list of a conda.yaml.

Problems name line and cause, never the line's text: index URLs and VCS links carry passwords.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as PipRequirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from verifywise_mlflow.artifacts.environment.environment_file import BUILD_TOOLS, EnvironmentFile, NamedPackage, decoded
from verifywise_mlflow.artifacts.manifest import Requirement

MAX_LINE = 4_000
"""Characters. Hashes make lines long, a few hundred each; Python's int() refuses 4,300 digits."""
MAX_LINES = 20_000
"""A file of one megabyte can hold half a million, each of them some microseconds of parsing."""

_COMMENT = re.compile(r"(?:^|\s)#.*$")  # one blank, not `\s+`: that is quadratic on a line of blanks
_OPTION_AT_END = re.compile(r"\s--?[A-Za-z].*$")  # --hash=…, --config-settings=…: a marker or URL never has ` --`
_INCLUDE = re.compile(r"(?:-r|--requirement)[\s=]*(.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]+(.*)")
_USER = re.compile(r"//[^/]*@")
_URL = re.compile(r"(?:[a-z][a-z0-9]*\+)?(?:https?|ssh|git|file|ftp|s3|gs)://|(?:git|hg|svn|bzr)\+", re.IGNORECASE)
_LOCAL_PATH = re.compile(r"\.{0,2}[/\\]|\.{1,2}$|[A-Za-z]:[\\/]|.*\.(?:whl|tar\.gz|zip)$")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?=$|#|\?)")
_HASH = re.compile(r"[#&](?:sha256|sha384|sha512)=[0-9a-fA-F]{64,128}(?=$|&)")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")


def read_requirements(content: bytes, name: str) -> EnvironmentFile:
    """Read a requirements.txt."""
    file = EnvironmentFile(name)
    try:
        text = decoded(content)
    except UnicodeDecodeError:
        file.give_up("its bytes are no text")
        return file
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        file.give_up(f"more than {MAX_LINES} lines")
    number, begun = 0, ""
    for number, line in enumerate(lines[:MAX_LINES], start=1):
        if line.endswith("\\") and not line.lstrip().startswith("#") and len(begun) <= MAX_LINE:
            begun += line[:-1]
            continue
        add_requirement(file, begun + line, f"line {number}")
        begun = ""
    add_requirement(file, begun, f"line {number}")
    return file


def add_requirement(file: EnvironmentFile, line: str, place: str) -> None:
    """Add what one logical line names to ``file``, or the reason why it could not be understood."""
    if len(line) > MAX_LINE:
        file.give_up(f"{place} is longer than {MAX_LINE} characters")
        return
    line = _COMMENT.sub("", line).strip()
    if not line:
        return
    if include := _INCLUDE.fullmatch(line):
        file.includes.append(include[1].strip())
    elif editable := _EDITABLE.fullmatch(line):
        file.add(_linked_package(editable[1].strip(), file.name))
    elif line.startswith("-"):
        # An index or a constraints file chooses among versions; it names no package.
        file.note(f"{place}: {_option_in(line)} is not followed")
    elif _URL.match(line) or (_LOCAL_PATH.match(_OPTION_AT_END.sub("", line)) and "@" not in line):
        file.add(_linked_package(line, file.name))
    else:
        _add_named(file, _OPTION_AT_END.sub("", line), place)


def _option_in(line: str) -> str:
    """Return an option without its value, which pip also takes without a blank: ``-ihttps://user:password@host``."""
    option = re.match(r"--[\w-]{1,38}|-.?", line)
    return option[0] if option else "an option"


def _add_named(file: EnvironmentFile, line: str, place: str) -> None:
    try:
        parsed = PipRequirement(line)
    except (InvalidRequirement, ValueError, RecursionError):
        file.give_up(f"{place} is no requirement")
        return
    name = canonicalize_name(parsed.name)
    if parsed.url:
        requirement = Requirement(name, _shown_link(parsed.url), file.name, _is_pinned_link(parsed.url))
    else:
        requirement = Requirement(
            name, specifier_text(parsed.specifier), file.name, exact_pin(str(parsed.specifier)) is not None
        )
    file.add(NamedPackage(requirement, conditional=parsed.marker is not None, build_tool=name in BUILD_TOOLS))


def specifier_text(specifiers: SpecifierSet) -> str:
    """``>=2,<3``: lower bounds first. A ``SpecifierSet`` has no order of its own, so one is given."""
    return ",".join(sorted(map(str, specifiers), key=lambda text: (text[0] not in "=~", text[0] != ">", text)))


def exact_pin(specifier: str) -> str | None:
    """The one version that ``==1.2`` or ``===1.2`` allows, ``None`` for wildcards, ranges, links and nothing.

    ``specifier`` is one that was parsed before.
    """
    if specifier.startswith("@"):
        return None
    exact = (s.version for s in SpecifierSet(specifier) if s.operator in ("==", "===") and not s.version.endswith(".*"))
    return next(exact, None)


def _linked_package(link: str, source: str) -> NamedPackage:
    """A package given by URL or path alone: its name is told by ``#egg=``, the archive's name, or the folder's."""
    link = link.split(" ", 1)[0]
    is_url = _URL.match(link) is not None
    egg = _EGG.search(link)
    name = egg[1] if egg else _name_in(unquote(_USER.sub("//", link.split("#", 1)[0].split("?", 1)[0])))
    specifier = _shown_link(link) if is_url else "@ local path"
    # Bytes on somebody's disk are pinned by nothing, whatever their file name says.
    return NamedPackage(Requirement(canonicalize_name(name), specifier, source, is_url and _is_pinned_link(link)))


def _name_in(path: str) -> str:
    last = PurePosixPath(re.sub(r"@[^/]*$", "", path.replace("\\", "/"))).name
    try:
        if last.endswith(".whl"):
            return parse_wheel_filename(last)[0]
        if last.endswith((".tar.gz", ".zip")):
            return parse_sdist_filename(last)[0]
    except ValueError:
        return last[:200]  # not named as PyPI names archives: its name is all there is
    return last.removesuffix(".git").removeprefix("..")[:200] or "local-path"


def _is_pinned_link(url: str) -> bool:
    return bool(_HASH.search(url) or _COMMIT.search(url))


def _shown_link(url: str) -> str:
    """``@ https://host/path`` without user, password, query and fragment, any of which may be a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@ unreadable URL"
    return f"@ {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
