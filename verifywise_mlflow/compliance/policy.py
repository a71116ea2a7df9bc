"""The policy that records are judged by, and how it is read from its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from verifywise_mlflow.compliance.complaints import complaints
from verifywise_mlflow.compliance.rules import Example, Identifier, Part, Reference, Rule, Sentence, Severity
from verifywise_mlflow.strict_yaml import UniqueKeyLoader

__all__ = ["Example", "Policy", "PolicyError", "Reference", "Rule", "Severity", "default_policy", "load_policy"]


class PolicyError(ValueError):
    """The file holds no policy that can be used. The message has a line for each error: file, line, rule, field."""


class Policy(Part):
    """The rules that a tenant's records are judged by."""

    id: Identifier
    version: int = Field(ge=1)
    title: Sentence
    thresholds: Mapping[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], float] = Field(default_factory=dict)
    """The figures that rules compare with, as ``thresholds.NAME``. A tenant may put others in their place."""
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_each_rule_once(self) -> Policy:
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.id in seen:
                raise PydanticCustomError("duplicate_rule", "the id stands here a second time", {"index": index})
            seen.add(rule.id)
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of all that the policy says except its examples, as canonical JSON.

        Results that were made with another digest are outdated.
        """
        said = self.model_dump(mode="json", exclude={"rules": {"__all__": {"examples"}}})
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


@cache
def default_policy() -> Policy:
    """Return the policy that comes with the package, by which tenants without one of their own are judged."""
    with as_file(files(__package__) / "policies" / "default.yaml") as path:
        return load_policy(path)


def load_policy(path: Path) -> Policy:
    """Return the policy of a YAML file.

    Raises:
        PolicyError: the file is missing, no YAML, or says something that is no rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{path}:{line}: is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:  # a character that YAML does not allow; a date such as 2026-13-01
        raise PolicyError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error

    if not isinstance(document, Mapping) or tree is None:
        raise PolicyError(f"{path}: write id, version, title and rules at the top")
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        raise PolicyError("\n".join(f"{path}:{what}" for what in complaints(error, document, tree))) from error
