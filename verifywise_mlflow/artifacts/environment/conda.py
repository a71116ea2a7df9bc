"""conda.yaml and python_env.yaml: the environments that MLflow writes beside a model.

Conda's words become PEP 440's, so that a specifier means the same wherever it came from.
"""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from verifywise_mlflow.artifacts.environment.environment_file import (
    BUILD_TOOLS,
    EnvironmentFile,
    NamedPackage,
    python_version_in,
)
from verifywise_mlflow.artifacts.environment.requirements import add_requirement, specifier_text
from verifywise_mlflow.artifacts.environment.untrusted_yaml import RefusedYamlError, YamlValue, read_yaml_mapping
from verifywise_mlflow.artifacts.manifest import Requirement

_SPEC = re.compile(
    r"""(?:[\w./:-]+::)?                       # channel, also channel/subdir
        (?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)
        \s*(?P<constraint>[=<>!~ ,|*\w.+-]*)""",
    re.VERBOSE | re.ASCII,
)
_EXACT = re.compile(r"(?P<operator>={1,2})\s*(?P<version>[\w.+!*-]+)(?:=(?P<build>[\w.*+-]+))?", re.ASCII)
MAX_SPEC = 200
"""Characters of one conda dependency."""


def read_conda(content: bytes, name: str) -> EnvironmentFile:
    """Read a conda.yaml: Python's version, conda packages and the ``pip:`` list."""
    file = EnvironmentFile(name)
    for position, entry in enumerate(_list_in(file, _document(file, content), "dependencies"), start=1):
        place = f"dependency {position}"
        if isinstance(entry, str):
            _add_conda_package(file, entry, place)
        elif isinstance(entry, dict) and list(entry) == ["pip"]:
            _add_pip_lines(file, _list_in(file, entry, "pip"), "pip line")
        else:
            file.give_up(f"{place} is neither a package nor a pip list")
    return file


def read_python_env(content: bytes, name: str) -> EnvironmentFile:
    """Read a python_env.yaml: Python's version, build dependencies, and mostly ``-r requirements.txt``."""
    file = EnvironmentFile(name)
    document = _document(file, content)
    python = document.get("python", "")
    if isinstance(python, str) and python:
        file.python_version = python_version_in(python)
        if file.python_version is None:
            file.note("python is given, but not as a version")
    _add_pip_lines(file, _list_in(file, document, "dependencies"), "dependency")
    runtime = len(file.packages)
    _add_pip_lines(file, _list_in(file, document, "build_dependencies"), "build dependency")
    # They install the model's packages and are gone when it runs, so their versions do not change what it computes.
    file.packages[runtime:] = [
        NamedPackage(package.requirement, package.conditional, build_tool=True) for package in file.packages[runtime:]
    ]
    return file


def _document(file: EnvironmentFile, content: bytes) -> dict[str, YamlValue]:
    try:
        return read_yaml_mapping(content)
    except RefusedYamlError as refusal:
        file.give_up(str(refusal))
        return {}


def _list_in(file: EnvironmentFile, mapping: dict[str, YamlValue], key: str) -> list[YamlValue]:
    value = mapping.get(key, [])
    if isinstance(value, list):
        return value
    if value not in ("", "null", "~"):
        file.give_up(f"{key} is no list")
    return []


def _add_pip_lines(file: EnvironmentFile, lines: list[YamlValue], place: str) -> None:
    for position, line in enumerate(lines, start=1):
        if isinstance(line, str):
            add_requirement(file, line, f"{place} {position}")
        else:
            file.give_up(f"{place} {position} is no text")


def _add_conda_package(file: EnvironmentFile, spec: str, place: str) -> None:
    spec = spec.strip()
    match = _SPEC.fullmatch(spec) if len(spec) <= MAX_SPEC else None
    if match is None:
        file.give_up(f"{place} is no conda package")
        return
    name, (specifier, pinned) = canonicalize_name(match["name"]), _specifier(match["constraint"].strip())
    if name == "python":
        exact = _EXACT.fullmatch(match["constraint"].strip())
        file.python_version = python_version_in(exact["version"].removesuffix(".*")) if exact else None
        return
    file.add(NamedPackage(Requirement(name, specifier, file.name, pinned), build_tool=name in BUILD_TOOLS))


def _specifier(constraint: str) -> tuple[str, bool]:
    """Conda's constraint as PEP 440 writes it, and whether it leaves one version only."""
    if constraint and constraint[0] not in "=<>!~":
        constraint = f"={constraint}" if " " not in constraint else "=" + "=".join(constraint.split())
    exact = _EXACT.fullmatch(constraint)
    if exact is None:
        return _normalized(constraint), False
    version = exact["version"]
    if version.endswith("*"):
        prefix = version.rstrip(".*")
        return (f"=={prefix}.*" if prefix else ""), False
    # `=1.2` is 1.2.* to conda; with a build string or with three parts only one release is left, as `conda env
    # export --no-builds` writes it and as MLflow writes python=3.9.6.
    if exact["operator"] == "==" or exact["build"] or version.count(".") >= 2:
        return f"=={version}", True
    return f"=={version}.*", False


def _normalized(constraint: str) -> str:
    try:
        return specifier_text(SpecifierSet(constraint))
    except (InvalidSpecifier, ValueError):
        return constraint  # conda's own, such as >=1.2,<2.0a0|3.*: kept as it reads
