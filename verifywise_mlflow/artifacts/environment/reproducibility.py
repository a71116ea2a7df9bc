"""Combines a model's environment files, and decides whether the environment is reproducible.

*Reproducible* means: a Python version is named, every package that runs with the model is pinned to one version, and
every file was understood completely. The mere existence of a file proves nothing, so missing pins are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from packaging.version import InvalidVersion, Version

from verifywise_mlflow.artifacts.environment.conda import parse_conda, parse_python_env
from verifywise_mlflow.artifacts.environment.environment_file import EnvironmentFile, PackageEntry
from verifywise_mlflow.artifacts.environment.mlmodel import MLmodel, parse_mlmodel
from verifywise_mlflow.artifacts.environment.requirements import exact_pin, parse_requirements
from verifywise_mlflow.artifacts.environment.untrusted_yaml import MAX_YAML_BYTES
from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment
from verifywise_mlflow.artifacts.problem_list import truncate_problems

_PARSERS: Mapping[str, Callable[[bytes, str], EnvironmentFile]] = {
    "python_env.yaml": parse_python_env,
    "conda.yaml": parse_conda,
    "requirements.txt": parse_requirements,
}
"""File name to its parser, in the order of precedence for the Python version."""

MLMODEL = "MLmodel"

ENVIRONMENT_FILES: tuple[str, ...] = (MLMODEL, *_PARSERS)
"""File names that are read at the top of a model's folder."""

MAX_FILE_BYTES = MAX_YAML_BYTES


def read_environment(contents: Mapping[str, bytes], read_errors: Mapping[str, str] | None = None) -> RuntimeEnvironment:
    """Combine the environment files of a model. Malformed bytes never raise an error.

    Args:
        contents: The bytes of each of ``ENVIRONMENT_FILES`` that exists.
        read_errors: The files that exist but could not be read, each with the reason.
    """
    read_errors = read_errors or {}
    files = [_parse_file(name, contents[name]) for name in _PARSERS if name in contents]
    for file in files:
        _check_includes(file, contents)
    mlmodel = parse_mlmodel(contents[MLMODEL], MLMODEL) if MLMODEL in contents else MLmodel()
    python_version, python_problem = _python_version(files, mlmodel)
    packages = [package for file in files for package in file.packages]
    contradictions = _find_conflicting_pins(packages)

    missing: list[str] = []
    if not files and not any(name in _PARSERS for name in read_errors):
        missing.append("no environment file")
    if python_version is None or python_problem:
        missing.append("python")
    needed = [package for package in packages if not package.is_build_tool]
    if files and not needed:
        missing.append("no packages named")
    pinned = {package.requirement.name for package in needed if package.requirement.pinned}
    missing += sorted({package.requirement.name for package in needed} - pinned | contradictions.keys())
    missing += [f"{file.name} (not read in full)" for file in files if not file.is_complete]
    missing += [f"{name} (not read)" for name in read_errors if name in _PARSERS]
    return RuntimeEnvironment(
        python_version=python_version,
        packages=tuple(package.requirement for package in packages),
        sources=tuple(file.name for file in files),
        mlflow_version=mlmodel.mlflow_version,
        flavors=mlmodel.flavors,
        tasks=mlmodel.tasks,
        prompts=mlmodel.prompts,
        serialization_format=mlmodel.serialization_format,
        model_size_bytes=mlmodel.model_size_bytes,
        signature=mlmodel.signature,
        reproducible=not missing,
        missing_pins=tuple(missing),
        problems=truncate_problems(
            [
                *(f"{name}: {reason}" for name, reason in read_errors.items()),
                *(problem for file in files for problem in file.problems),
                *mlmodel.problems,
                *([python_problem] if python_problem else []),
                *contradictions.values(),
            ]
        ),
    )


def _parse_file(name: str, content: bytes) -> EnvironmentFile:
    if len(content) > MAX_FILE_BYTES:
        file = EnvironmentFile(name)
        file.mark_incomplete(f"larger than {MAX_FILE_BYTES} bytes")
        return file
    return _PARSERS[name](content, name)


def _check_includes(file: EnvironmentFile, contents: Mapping[str, bytes]) -> None:
    """Mark the file incomplete if it includes a file that is not read. python_env.yaml includes requirements.txt."""
    for included in file.includes:
        name = included.removeprefix("./")
        if name not in contents or name == file.name or name not in _PARSERS:
            file.mark_incomplete("includes another file (-r) that is not read")


def _python_version(files: Sequence[EnvironmentFile], mlmodel: MLmodel) -> tuple[str | None, str | None]:
    """Return the version in the first file that names a version, and a clause if two files disagree."""
    named = [(file.name, file.python_version) for file in files if file.python_version]
    if mlmodel.python_version:
        named.append((MLMODEL, mlmodel.python_version))
    if not named:
        return None, None
    name, version = named[0]
    for other_name, other in named[1:]:
        # 3.9 and 3.9.6 agree: the first is only less precise.
        if not f"{version}.".startswith(f"{other}.") and not f"{other}.".startswith(f"{version}."):
            return version, f"python is {version} in {name}, but {other} in {other_name}"
    return version, None


def _find_conflicting_pins(packages: Sequence[PackageEntry]) -> dict[str, str]:
    """Return a clause for each package that is pinned to two versions, by package name."""
    first: dict[str, tuple[str, str]] = {}
    conflicts: dict[str, str] = {}
    for package in packages:
        requirement = package.requirement
        pin = (
            None if package.is_conditional or package.is_build_tool else _pin(requirement.specifier, requirement.pinned)
        )
        if pin is None:
            continue
        version, source = first.setdefault(requirement.name, (pin, requirement.source))
        if not _is_same_version(version, pin):
            conflicts.setdefault(
                requirement.name,
                f"{requirement.name} is pinned to {version} in {source}, but to {pin} in {requirement.source}",
            )
    return conflicts


def _pin(specifier: str, pinned: bool) -> str | None:
    if not pinned or specifier.startswith("@"):
        return None
    try:
        return exact_pin(specifier)
    except ValueError:  # a conda version that PEP 440 does not allow, such as ==2021a-1
        return specifier.removeprefix("==")


def _is_same_version(left: str, right: str) -> bool:
    try:
        return Version(left) == Version(right)
    except InvalidVersion:
        return left == right
