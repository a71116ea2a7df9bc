"""Reads ``tenants.yaml``, and says in a sentence what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from verifywise_mlflow.common.strict_yaml import UniqueKeyLoader
from verifywise_mlflow.tenants.auth import KINDS
from verifywise_mlflow.tenants.tenant import Tenant

VARIABLE = "VERIFYWISE_TENANTS"
"""The environment variable that names the file."""


class TenantsFileError(ValueError):
    """The file cannot be used. The message names the tenant, the field and the mend, a line for each error."""


def tenants_path() -> Path:
    """Return the path of the tenants file.

    Raises:
        TenantsFileError: the variable is not set.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        raise TenantsFileError(f"set the environment variable {VARIABLE} to the path of your tenants.yaml")
    return Path(path)


def shared_waivers_path() -> Path | None:
    """Return the path of ``waivers.yaml`` beside the tenants file; None where there is no such file.

    A link that leads nowhere is one: who reads it is to fail, and not to take it that no waivers hold.
    """
    path = os.environ.get(VARIABLE)
    beside = Path(path).parent / "waivers.yaml" if path else None
    return beside if beside and os.path.lexists(beside) else None


def load_tenants(path: Path | None = None) -> dict[str, Tenant]:
    """Return the tenants of the file (default: the one the environment names) by their names.

    Raises:
        TenantsFileError: the file is missing, no YAML, or a tenant is not described as it should be.
    """
    path = path or tenants_path()
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise TenantsFileError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        # Without its cause: that one quotes the line, which may hold a secret that does not belong there.
        raise TenantsFileError(f"{path} is not YAML: {_reason(error)}") from None

    if not isinstance(document, Mapping) or set(document) != {"tenants"}:
        raise TenantsFileError(f"{path}: write one key 'tenants' at the top, and under it each tenant by its name")
    described = document["tenants"]
    if described is None:
        return {}
    if not isinstance(described, Mapping):
        raise TenantsFileError(f"{path}: under 'tenants', write each tenant by its name")

    tenants: dict[str, Tenant] = {}
    complaints: list[str] = []
    for name, description in described.items():
        if not isinstance(description, Mapping):
            complaints.append(f"{path}: tenant {name!r}: write its fields under it, at least tracking_uri")
            continue
        if str(name) in tenants:
            complaints.append(f"{path}: tenant {name!r} stands here a second time, once as a number: quote one name")
            continue
        try:
            tenants[str(name)] = Tenant.model_validate({**description, "tenant_id": str(name)})
        except ValidationError as error:
            complaints.extend(_sentences(path, name, error))
    if complaints:
        raise TenantsFileError("\n".join(complaints))
    return tenants


def _reason(error: Exception) -> str:
    """Return what is wrong and where, without words of the file; of those, only a key that stands there twice."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if not isinstance(error, yaml.MarkedYAMLError):
        return "it holds bytes that are no text"
    mark = error.problem_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if isinstance(error, yaml.composer.ComposerError | yaml.constructor.ConstructorError):
        # What begins with * or ! is an alias or a tag, and a password may begin so.
        return f"{place}an alias, a tag or a key that is not understood; put a value that begins with * or ! in quotes"
    return f"{place}{error.problem}"


_MENDS = {
    "missing": "it is needed and not there",
    "extra_forbidden": "there is no such field: mend its name or take it out",
    "unexpected_keyword_argument": "there is no such field: mend its name or take it out",
    "union_tag_invalid": f"kind is one of {', '.join(KINDS[:-1])} and {KINDS[-1]}",
    "union_tag_not_found": f"say which kind: {', '.join(KINDS[:-1])} or {KINDS[-1]}",
}


def _sentences(path: Path, name: object, error: ValidationError) -> list[str]:
    """Translate pydantic's errors. Inputs are left out: a field may hold a secret that does not belong there."""
    sentences = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        # A discriminated union puts its tag between the field and what is under it; people do not write it.
        place = [str(part) for part in detail["loc"]]
        if place[:1] == ["auth"] and len(place) > 1 and place[1] in KINDS:
            del place[1]
        field = ".".join(place) if place != ["tenant_id"] else "its name"
        mend = _MENDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        sentences.append(f"{path}: tenant {name!r}, {field or 'the tenant'}: {mend}")
    return sentences
