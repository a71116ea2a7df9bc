"""Loads ``tenants.yaml``, and reports each error as a sentence that names the place and what is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from verifywise_mlflow.common.strict_yaml import load_strict_yaml
from verifywise_mlflow.common.validation_errors import correction_for
from verifywise_mlflow.tenants.auth import AUTH_KINDS
from verifywise_mlflow.tenants.delivery.verifywise import VERIFYWISE_AUTH_KINDS
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.secret_scope import SCOPE_VARIABLE, out_of_scope, secret_scope
from verifywise_mlflow.tenants.tenant import Tenant

TENANTS_VARIABLE = "VERIFYWISE_TENANTS"
"""The environment variable that names the file."""
DEFAULT_SECTIONS: Final = ("compliance", "history", "intervals", "limits", "report")
"""The sections of a tenant for which ``defaults`` may have values."""
_ADDED_LISTS: Final = frozenset(("framework_files",))
"""The lists of ``defaults`` to which a tenant adds entries instead of replacing them."""


def tenants_path() -> Path:
    """Return the path of the tenants file.

    Raises:
        TenantsFileError: the variable is not set.
    """
    path = os.environ.get(TENANTS_VARIABLE)
    if not path:
        raise TenantsFileError(
            f"{TENANTS_VARIABLE} is not set: set this environment variable to the path of your tenants.yaml"
        )
    return Path(path)


def shared_waivers_path() -> Path | None:
    """Return the path of ``waivers.yaml`` next to the tenants file.

    None if there is no such file, or if the environment variable is not set.

    A broken link counts as a file, so that reading it fails instead of withdrawing all waivers.
    """
    return _shared_path("waivers.yaml")


def shared_ai_systems_path() -> Path | None:
    """Return the path of ``ai_systems.yaml`` next to the tenants file, with the rules of ``shared_waivers_path``."""
    return _shared_path("ai_systems.yaml")


def _shared_path(name: str) -> Path | None:
    tenants_file = os.environ.get(TENANTS_VARIABLE)
    path = Path(tenants_file).parent / name if tenants_file else None
    return path if path and os.path.lexists(path) else None


def load_tenants(path: Path | None = None) -> dict[str, Tenant]:
    """Return the tenants of a file by name; by default, of the file that the environment names.

    Raises:
        TenantsFileError: the environment names no file, the file cannot be read or is not YAML, the file describes a
            tenant or the defaults wrongly, or a secret is not within its tenant's scope.
    """
    path = path or tenants_path()
    try:
        document = load_strict_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TenantsFileError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        # ``from None``: the cause quotes the line, into which somebody may have pasted a secret.
        raise TenantsFileError(f"{path} is not YAML: {_reason(error)}") from None

    if not isinstance(document, Mapping) or not {"tenants"} <= set(document) <= {"tenants", "defaults"}:
        raise TenantsFileError(
            f"{path}: the top level is not the one key 'tenants': write that key, and under it each tenant by name. "
            "The only other key is 'defaults'"
        )
    defaults = _defaults(path, document.get("defaults"))
    descriptions = document["tenants"]
    if descriptions is None:
        return {}
    if not isinstance(descriptions, Mapping):
        raise TenantsFileError(f"{path}: 'tenants' is not a mapping: write each tenant under it, by name")

    tenants: dict[str, Tenant] = {}
    errors: list[str] = []
    for name, description in descriptions.items():
        if not isinstance(description, Mapping):
            errors.append(f"{path}: tenant {name!r} has no fields: write at least tracking_uri under it")
            continue
        if str(name) in tenants:
            errors.append(f"{path}: tenant {name!r} occurs twice, once as a number and once as text: rename one")
            continue
        try:
            tenants[str(name)] = Tenant.model_validate({**_merged(defaults, description), "tenant_id": str(name)})
        except ValidationError as error:
            errors.extend(_error_sentences(path, f"tenant {name!r}", error))
    if patterns := secret_scope():
        errors += (
            f"{path}: tenant {name!r} refers to {reference}, which is not within its scope of secrets "
            f"({SCOPE_VARIABLE}): move the secret to {' or '.join(patterns)}"
            for name, reference in out_of_scope(tenants, patterns)
        )
    if errors:
        raise TenantsFileError("\n".join(errors))
    return tenants


def _defaults(path: Path, section: object) -> Mapping[str, object]:
    """Return the operator's settings for all tenants. Each setting is checked, even if every tenant overrides it.

    Only sections that describe no server may have defaults: a tenant without an account or an address must not get the
    account or address of another tenant by mistake.
    """
    if section is None:
        return {}
    names = ", ".join(DEFAULT_SECTIONS)
    if not isinstance(section, Mapping) or not set(section) <= set(DEFAULT_SECTIONS):
        raise TenantsFileError(f"{path}: 'defaults' may have the sections {names} only: move all else to the tenants")
    compliance = section.get("compliance")
    for name in ("waivers", "ai_systems"):
        if isinstance(compliance, Mapping) and name in compliance:
            raise TenantsFileError(
                f"{path}: defaults, compliance.{name}: such a file belongs to one tenant, and its entries would apply "
                f"to all: write them into {name}.yaml next to this file, where each entry names its tenant"
            )
    try:
        Tenant.model_validate({**section, "tenant_id": "defaults", "tracking_uri": "https://defaults.invalid"})
    except ValidationError as error:
        raise TenantsFileError("\n".join(_error_sentences(path, "defaults", error))) from None
    return section


def _merged(defaults: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Return a tenant's settings, with the defaults for each setting that it leaves out, at every depth.

    A tenant's list replaces the default list. Only files of frameworks are added to the default files.
    """
    both: dict[str, object] = {
        name: _merged(default, value)
        for name, default in defaults.items()
        if isinstance(default, Mapping) and isinstance(value := own.get(name), Mapping)
    }
    for name in _ADDED_LISTS & defaults.keys() & own.keys():
        if isinstance(files := defaults[name], list) and isinstance(own_files := own[name], list):
            both[name] = [*files, *own_files]
    return {**defaults, **own, **both}


def _reason(error: Exception) -> str:
    """Return what is wrong and where. At most a duplicate key or a single character of the file is quoted."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply: write it flatter"
    if isinstance(error, yaml.reader.ReaderError):
        return f"it contains the character U+{error.character:04X}, which YAML does not allow: remove it"
    if not isinstance(error, yaml.MarkedYAMLError):
        return "it contains bytes that are not UTF-8 text: save it as UTF-8"
    mark = error.problem_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    is_handle = "tag handle" in str(error.problem)  # PyYAML quotes the handle of a tag: !handle!suffix
    if is_handle or isinstance(error, yaml.composer.ComposerError | yaml.constructor.ConstructorError):
        # A value that begins with * or ! is an alias or a tag in YAML, and a password may begin with these characters.
        return f"{place}an alias, a tag or a key that is not supported; quote values that begin with * or !"
    return f"{place}{error.problem}"


_KINDS: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    ("auth",): AUTH_KINDS,
    ("delivery", "verifywise", "auth"): VERIFYWISE_AUTH_KINDS,
}
"""Each section with a key ``kind``, and the allowed values of that key."""


def _corrections(kinds: tuple[str, ...]) -> Mapping[str, str]:
    alternatives = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    return {
        "union_tag_invalid": f"there is no such kind: write {alternatives}",
        "union_tag_not_found": f"kind is missing: write {alternatives}",
    }


def _error_sentences(path: Path, owner: str, error: ValidationError) -> list[str]:
    """Translate pydantic's errors, without inputs: somebody may have pasted a secret into a field."""
    sentences = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        location = [str(part) for part in detail["loc"]]
        corrections: Mapping[str, str] = {}
        for section, kinds in _KINDS.items():
            if tuple(location[: len(section)]) == section:
                corrections = _corrections(kinds)
                # Pydantic adds the tag of a discriminated union to the location. This tag does not occur in the file.
                if location[len(section) : len(section) + 1] and location[len(section)] in kinds:
                    del location[len(section)]
        field = ".".join(location) if location != ["tenant_id"] else "its name"
        remedy = correction_for(detail["type"], detail["msg"], corrections)
        sentences.append(f"{path}: {owner}, {field or 'the tenant'}: {remedy}")
    return sentences
