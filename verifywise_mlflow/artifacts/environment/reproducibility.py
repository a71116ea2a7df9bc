"""The environment a model needs, from the files beside it, and whether it could be built again.

*Reproducible* means: a Python version is named, every package that runs with the model has one version only, and no
file was left half understood. A file that merely exists proves nothing, so what is missing is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from packaging.version import InvalidVersion, Version

from verifywise_mlflow.artifacts.environment.conda import read_conda, read_python_env
from verifywise_mlflow.artifacts.environment.environment_file import EnvironmentFile, NamedPackage
from verifywise_mlflow.artifacts.environment.mlmodel import MLmodel, read_mlmodel
from verifywise_mlflow.artifacts.environment.requirements import exact_pin, read_requirements
from verifywise_mlflow.artifacts.environment.untrusted_yaml import MAX_BYTES
from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment
from verifywise_mlflow.artifacts.walk import shortened

_PARSERS: Mapping[str, Callable[[bytes, str], EnvironmentFile]] = {
    "python_env.yaml": read_python_env,
    "conda.yaml": read_conda,
    "requirements.txt": read_requirements,
}
"""In the order in which they are believed about Python's version."""

MLMODEL = "MLmodel"

ENVIRONMENT_FILES: tuple[str, ...] = (MLMODEL, *_PARSERS)
"""The names that are read, at the top of a model's folder."""

MAX_FILE_BYTES = MAX_BYTES


def read_environment(contents: Mapping[str, bytes], unreadable: Mapping[str, str] | None = None) -> RuntimeEnvironment:
    """Put together what the environment files say. Never raises, whatever the bytes are.

    Args:
        contents: The bytes of each of ``ENVIRONMENT_FILES`` that is there.
        unreadable: Those that are there but could not be read, with the reason.
    """
    unreadable = unreadable or {}
    files = [_read(name, contents[name]) for name in _PARSERS if name in contents]
    for file in files:
        _settle_includes(file, contents)
    mlmodel = read_mlmodel(contents[MLMODEL], MLMODEL) if MLMODEL in contents else MLmodel()
    python_version, python_problem = _python_version(files, mlmodel)
    packages = [package for file in files for package in file.packages]
    contradictions = _contradictions(packages)

    missing: list[str] = []
    if not files and not any(name in _PARSERS for name in unreadable):
        missing.append("no environment file")
    if python_version is None or python_problem:
        missing.append("python")
    needed = [package for package in packages if not package.build_tool]
    if files and not needed:
        missing.append("no packages named")
    pinned = {package.requirement.name for package in needed if package.requirement.pinned}
    missing += sorted({package.requirement.name for package in needed} - pinned | contradictions.keys())
    missing += [f"{file.name} (not read in full)" for file in files if not file.read_in_full]
    missing += [f"{name} (not read)" for name in unreadable if name in _PARSERS]
    return RuntimeEnvironment(
        python_version=python_version,
        packages=tuple(package.requirement for package in packages),
        sources=tuple(file.name for file in files),
        mlflow_version=mlmodel.mlflow_version,
        flavors=mlmodel.flavors,
        serialization_format=mlmodel.serialization_format,
        model_size_bytes=mlmodel.model_size_bytes,
        signature=mlmodel.signature,
        reproducible=not missing,
        missing_pins=tuple(missing),
        problems=shortened(
            [
                *(f"{name}: {reason}" for name, reason in unreadable.items()),
                *(problem for file in files for problem in file.problems),
                *mlmodel.problems,
                *([python_problem] if python_problem else []),
                *contradictions.values(),
            ]
        ),
    )


def _read(name: str, content: bytes) -> EnvironmentFile:
    if len(content) > MAX_FILE_BYTES:
        file = EnvironmentFile(name)
        file.give_up(f"larger than {MAX_FILE_BYTES} bytes")
        return file
    return _PARSERS[name](content, name)


def _settle_includes(file: EnvironmentFile, contents: Mapping[str, bytes]) -> None:
    """``-r requirements.txt`` is how python_env.yaml names its packages: settled where that file is read as well."""
    for included in file.includes:
        name = included.removeprefix("./")
        if name not in contents or name == file.name or name not in _PARSERS:
            file.give_up("takes packages from another file (-r) that is not read")


def _python_version(files: Sequence[EnvironmentFile], mlmodel: MLmodel) -> tuple[str | None, str | None]:
    """The version of the first that names one, and a sentence where two name different ones."""
    named = [(file.name, file.python_version) for file in files if file.python_version]
    if mlmodel.python_version:
        named.append((MLMODEL, mlmodel.python_version))
    if not named:
        return None, None
    name, version = named[0]
    for other_name, other in named[1:]:
        # 3.9 and 3.9.6 agree: one only says less.
        if not f"{version}.".startswith(f"{other}.") and not f"{other}.".startswith(f"{version}."):
            return version, f"python is {version} in {name}, but {other} in {other_name}"
    return version, None


def _contradictions(packages: Sequence[NamedPackage]) -> dict[str, str]:
    """Package name to a sentence, for each that is pinned to two versions at once."""
    first: dict[str, tuple[str, str]] = {}
    found: dict[str, str] = {}
    for package in packages:
        requirement = package.requirement
        pin = None if package.conditional or package.build_tool else _pin(requirement.specifier, requirement.pinned)
        if pin is None:
            continue
        version, source = first.setdefault(requirement.name, (pin, requirement.source))
        if not _same_version(version, pin):
            found.setdefault(
                requirement.name,
                f"{requirement.name} is pinned to {version} in {source}, but to {pin} in {requirement.source}",
            )
    return found


def _pin(specifier: str, pinned: bool) -> str | None:
    if not pinned or specifier.startswith("@"):
        return None
    try:
        return exact_pin(specifier)
    except ValueError:  # a conda version that PyPI does not know, such as ==2021a-1
        return specifier.removeprefix("==")


def _same_version(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other
