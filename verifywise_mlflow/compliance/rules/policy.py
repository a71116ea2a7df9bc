"""The policy that records are judged by, and how it is read from its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from verifywise_mlflow.compliance.rules.cel_expression import compiled
from verifywise_mlflow.compliance.rules.rule import Example, Identifier, Part, Reference, Rule, Sentence, Severity
from verifywise_mlflow.compliance.rules.validation_messages import complaints
from verifywise_mlflow.compliance.rules.yaml_source import NotReachedError, UnreadableError, WrittenFile, read_written

__all__ = ["Example", "Policy", "PolicyError", "Reference", "Rule", "Severity", "default_policy", "load_policy"]

_EXPECTED = "write id, version, title and rules at the top"
_EXPECTED_OF_A_PART = "write rules at the top, and nothing else"


ThresholdName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Figure = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class PolicyError(ValueError):
    """The files hold no policy that can be used. The message has a line for each error: file, line, rule, field."""


class Policy(Part):
    """The rules that a tenant's records are judged by."""

    id: Identifier
    version: int = Field(ge=1)
    title: Sentence
    thresholds: Mapping[ThresholdName, Figure] = Field(default_factory=dict)
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
    with as_file(files("verifywise_mlflow.compliance") / "policies") as folder:
        return load_policy(folder / "default.yaml")


def load_policy(path: Path) -> Policy:
    """Return the policy of a YAML file, and of the files with more rules that it names in ``files``.

    Raises:
        PolicyError: a file is missing, no YAML, or says something that is no rule.
    """
    try:
        head = read_written(path, expected=_EXPECTED)
        parts = [head, *(_part(head, named) for named in _files(head))]
    except UnreadableError as error:
        raise PolicyError(str(error)) from error
    places = [(part, index) for part in parts for index in range(len(_rules(part)))]
    document = {name: said for name, said in head.document.items() if name != "files"}
    if places and isinstance(document.get("rules", []), list):
        document["rules"] = [_rules(part)[index] for part, index in places]
    try:
        policy = Policy.model_validate(document)
    except ValidationError as error:
        raise PolicyError("\n".join(complaints(error, head, places))) from error
    if wrong := list(_misused_thresholds(policy, head, places)):
        raise PolicyError("\n".join(wrong))
    return policy


def _misused_thresholds(policy: Policy, head: WrittenFile, places: Sequence[tuple[WrittenFile, int]]) -> Iterator[str]:
    """Yield what is wrong between the figures and the rules: one that no rule asks for is as likely misspelt."""
    asked: set[str] = set()
    for rule, (part, index) in zip(policy.rules, places, strict=True):
        for field in ("applies", "evidenced", "requires"):
            for name in compiled(getattr(rule, field)).thresholds:
                asked.add(name)
                if name not in policy.thresholds:
                    line = part.line(("rules", index, field))
                    known = ", ".join(policy.thresholds) or "none"
                    yield (
                        f"{part.path}:{line}: rule {rule.id!r}: {field}: thresholds has no {name!r}; there are: {known}"
                    )
    for name in policy.thresholds.keys() - asked:
        yield f"{head.path}:{head.line(('thresholds', name))}: thresholds.{name}: no rule compares with it"


def _rules(file: WrittenFile) -> list[object]:
    rules = file.document.get("rules")
    return rules if isinstance(rules, list) else []


def _files(head: WrittenFile) -> list[str]:
    named = head.document.get("files", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise UnreadableError(f"{head.path}:{head.line(('files',))}: files: write a list of paths")
    return named


def _part(head: WrittenFile, named: str) -> WrittenFile:
    """Return a file that the head names. It lies beside the head or below it: a policy can be copied as one folder."""
    place = f"{head.path}:{head.line(('files', _files(head).index(named)))}: files"
    written = PurePosixPath(named)
    if written.is_absolute() or ".." in written.parts:
        raise UnreadableError(f"{place}: {named!r} has to lie beside this file, or below it")
    try:
        part = read_written(head.path.parent / written, expected=_EXPECTED_OF_A_PART)
    except NotReachedError as error:
        raise UnreadableError(f"{place}: {error}") from error
    if set(part.document) != {"rules"} or not _rules(part):
        raise UnreadableError(f"{part.path}:{part.line(('rules',))}: {_EXPECTED_OF_A_PART}")
    return part
