"""What one environment file says, before the files are judged together."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

from verifywise_mlflow.artifacts.manifest import Requirement

BUILD_TOOLS = frozenset({"pip", "setuptools", "wheel"})
"""They bring the packages in and are not used by the model; MLflow itself writes ``pip<=23`` and a bare ``wheel``."""

MAX_PACKAGES = 5_000

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # ahead of UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PYTHON_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}((a|b|rc)[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class NamedPackage:
    """A package as one line names it."""

    requirement: Requirement
    conditional: bool = False
    """True with an environment marker: two lines with different pins then need not contradict."""
    build_tool: bool = False
    """True where it takes part in installing only, and so may stay unpinned."""


@dataclass(slots=True)
class EnvironmentFile:
    """What a file names. The parsers fill it line by line; none of them raises."""

    name: str
    python_version: str | None = None
    packages: list[NamedPackage] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)
    """Other files that it takes packages from (``-r requirements.txt``), as written."""
    problems: list[str] = field(default_factory=list)
    read_in_full: bool = True
    """False where some package may be named that was not understood: no statement on pins is safe then."""

    def add(self, package: NamedPackage) -> None:
        """Keep a package, up to ``MAX_PACKAGES``."""
        if len(self.packages) < MAX_PACKAGES:
            self.packages.append(package)
        elif self.read_in_full:
            self.give_up(f"more than {MAX_PACKAGES} packages")

    def note(self, problem: str) -> None:
        """Tell something that leaves the packages known."""
        self.problems.append(f"{self.name}: {problem}")

    def give_up(self, problem: str) -> None:
        """Tell something that may hide a package."""
        self.note(problem)
        self.read_in_full = False


def decoded(content: bytes) -> str:
    """Text as pip reads it: by its byte order mark (PowerShell's ``pip freeze >`` writes UTF-16), else UTF-8.

    Raises:
        UnicodeDecodeError: It is neither.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")


def python_version_in(text: str) -> str | None:
    """A Python version that names at least major and minor: ``3.10`` and ``3.9.6`` do, ``>=3.8`` and ``3`` do not."""
    text = text.strip()
    return text if _PYTHON_VERSION.fullmatch(text) else None
