"""The parsed content of one environment file, before the files are combined."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

from verifywise_mlflow.artifacts.manifest import Requirement

BUILD_TOOLS = frozenset({"pip", "setuptools", "wheel"})
"""Packages that install other packages and that no model uses. MLflow writes ``pip<=23`` and an unpinned ``wheel``."""

MAX_PACKAGES = 5_000

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, because this mark starts with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PYTHON_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}((a|b|rc)[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class PackageEntry:
    """A package that one line requires."""

    requirement: Requirement
    is_conditional: bool = False
    """Whether the line has an environment marker. Then different pins of the package need not conflict."""
    is_build_tool: bool = False
    """Whether the package is needed only for the installation, so that it may stay unpinned."""


@dataclass(slots=True)
class EnvironmentFile:
    """The requirements in one file. The parsers fill it line by line and never raise."""

    name: str
    python_version: str | None = None
    packages: list[PackageEntry] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)
    """Included files (``-r requirements.txt``), as written."""
    problems: list[str] = field(default_factory=list)
    is_complete: bool = True
    """False if some requirement may not have been understood. Then nothing is known about pins."""

    def add(self, package: PackageEntry) -> None:
        """Add a package, up to ``MAX_PACKAGES``."""
        if len(self.packages) < MAX_PACKAGES:
            self.packages.append(package)
        elif self.is_complete:
            self.mark_incomplete(f"more than {MAX_PACKAGES} packages")

    def add_problem(self, problem: str) -> None:
        """Record a problem that does not affect the list of packages."""
        self.problems.append(f"{self.name}: {problem}")

    def mark_incomplete(self, problem: str) -> None:
        """Record a problem that may hide a package."""
        self.add_problem(problem)
        self.is_complete = False


def decode_text(content: bytes) -> str:
    """Decode text as pip does: by its byte order mark (PowerShell's ``pip freeze >`` writes UTF-16), else as UTF-8.

    Raises:
        UnicodeDecodeError: The text has another encoding.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")


def parse_python_version(text: str) -> str | None:
    """Return a Python version with at least major and minor, such as ``3.10`` or ``3.9.6``; not ``>=3.8`` or ``3``."""
    text = text.strip()
    return text if _PYTHON_VERSION.fullmatch(text) else None
