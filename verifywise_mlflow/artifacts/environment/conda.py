"""Parses conda.yaml and python_env.yaml, the environments that MLflow writes next to a model.

Conda constraints become PEP 440 specifiers, so that a specifier has one meaning in every file.
"""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from verifywise_mlflow.artifacts.environment.environment_file import (
    BUILD_TOOLS,
    EnvironmentFile,
    PackageEntry,
    parse_python_version,
)
from verifywise_mlflow.artifacts.environment.requirements import add_requirement, specifier_text
from verifywise_mlflow.artifacts.environment.untrusted_yaml import UnsafeYamlError, YamlValue, parse_yaml_mapping
from verifywise_mlflow.artifacts.manifest import Requirement

_SPEC = re.compile(
    r"""(?:[\w./:-]+::)?                       # channel, also channel/subdir
        (?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)
        \s*(?P<constraint>[=<>!~ ,|*\w.+-]*)""",
    re.VERBOSE | re.ASCII,
)
_EXACT = re.compile(r"(?P<operator>={1,2})\s*(?P<version>[\w.+!*-]+)(?:=(?P<build>[\w.*+-]+))?", re.ASCII)
MAX_SPEC_CHARS = 200
"""The maximum number of characters of a conda dependency."""


def parse_conda(content: bytes, name: str) -> EnvironmentFile:
    """Parse a conda.yaml: the Python version, conda packages and the ``pip:`` list."""
    file = EnvironmentFile(name)
    for position, entry in enumerate(_get_list(file, _parse_document(file, content), "dependencies"), start=1):
        label = f"dependency {position}"
        if isinstance(entry, str):
            _add_conda_package(file, entry, label)
        elif isinstance(entry, dict) and list(entry) == ["pip"]:
            _add_pip_lines(file, _get_list(file, entry, "pip"), "pip line")
        else:
            file.mark_incomplete(f"{label} is neither a package nor a pip list")
    return file


def parse_python_env(content: bytes, name: str) -> EnvironmentFile:
    """Parse a python_env.yaml: the Python version, build dependencies, and usually ``-r requirements.txt``."""
    file = EnvironmentFile(name)
    document = _parse_document(file, content)
    python = document.get("python", "")
    if isinstance(python, str) and python:
        file.python_version = parse_python_version(python)
        if file.python_version is None:
            file.add_problem("the value of python is not a version")
    _add_pip_lines(file, _get_list(file, document, "dependencies"), "dependency")
    runtime = len(file.packages)
    _add_pip_lines(file, _get_list(file, document, "build_dependencies"), "build dependency")
    # Build dependencies install the model's packages. They do not run with the model, so they may stay unpinned.
    file.packages[runtime:] = [
        PackageEntry(package.requirement, package.is_conditional, is_build_tool=True)
        for package in file.packages[runtime:]
    ]
    return file


def _parse_document(file: EnvironmentFile, content: bytes) -> dict[str, YamlValue]:
    try:
        return parse_yaml_mapping(content)
    except UnsafeYamlError as refusal:
        file.mark_incomplete(str(refusal))
        return {}


def _get_list(file: EnvironmentFile, mapping: dict[str, YamlValue], key: str) -> list[YamlValue]:
    value = mapping.get(key, [])
    if isinstance(value, list):
        return value
    if value not in ("", "null", "~"):
        file.mark_incomplete(f"{key} is not a list")
    return []


def _add_pip_lines(file: EnvironmentFile, lines: list[YamlValue], label: str) -> None:
    for position, line in enumerate(lines, start=1):
        if isinstance(line, str):
            add_requirement(file, line, f"{label} {position}")
        else:
            file.mark_incomplete(f"{label} {position} is not text")


def _add_conda_package(file: EnvironmentFile, spec: str, label: str) -> None:
    spec = spec.strip()
    match = _SPEC.fullmatch(spec) if len(spec) <= MAX_SPEC_CHARS else None
    if match is None:
        file.mark_incomplete(f"{label} is not a conda package")
        return
    name, (specifier, pinned) = canonicalize_name(match["name"]), _to_pep440(match["constraint"].strip())
    if name == "python":
        exact = _EXACT.fullmatch(match["constraint"].strip())
        file.python_version = parse_python_version(exact["version"].removesuffix(".*")) if exact else None
        return
    file.add(PackageEntry(Requirement(name, specifier, file.name, pinned), is_build_tool=name in BUILD_TOOLS))


def _to_pep440(constraint: str) -> tuple[str, bool]:
    """Return conda's constraint as a PEP 440 specifier, and whether the constraint allows only one version."""
    if constraint and constraint[0] not in "=<>!~":
        constraint = f"={constraint}" if " " not in constraint else "=" + "=".join(constraint.split())
    exact = _EXACT.fullmatch(constraint)
    if exact is None:
        return _normalize_range(constraint), False
    version = exact["version"]
    if version.endswith("*"):
        prefix = version.rstrip(".*")
        return (f"=={prefix}.*" if prefix else ""), False
    # Conda reads `=1.2` as 1.2.*. A constraint with a build string or three parts allows only one release.
    # `conda env export --no-builds` and MLflow write such constraints (python=3.9.6).
    if exact["operator"] == "==" or exact["build"] or version.count(".") >= 2:
        return f"=={version}", True
    return f"=={version}.*", False


def _normalize_range(constraint: str) -> str:
    try:
        return specifier_text(SpecifierSet(constraint))
    except (InvalidSpecifier, ValueError):
        return constraint  # conda syntax such as >=1.2,<2.0a0|3.* is kept verbatim
