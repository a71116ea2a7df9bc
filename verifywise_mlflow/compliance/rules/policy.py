"""A policy, and its loading from files. A policy is a set of rules and thresholds for the evaluation of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.compliance.frameworks import Catalog, shipped_catalog
from verifywise_mlflow.compliance.metric_interpretation import is_level
from verifywise_mlflow.compliance.rules.rule import (
    Example,
    Identifier,
    PolicyContext,
    PolicySection,
    Reference,
    Rule,
    Sentence,
    Severity,
)
from verifywise_mlflow.compliance.validation_messages import validation_messages
from verifywise_mlflow.compliance.yaml_source import (
    YamlFileNotFoundError,
    YamlSource,
    YamlSourceError,
    read_yaml_source,
)

__all__ = ["Example", "Policy", "PolicyError", "Reference", "Rule", "Severity", "default_policy", "load_policy"]

_EXPECTED_KEYS = "write id, version, title and rules at the top level"
_EXPECTED_KEYS_OF_RULE_FILE = "write rules at the top level, and nothing else"


ThresholdName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Threshold = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class PolicyError(ValueError):
    """The files contain no usable policy. The message has one line per error: file, line, rule, field."""


class Policy(PolicySection):
    """The rules that a tenant's records are evaluated against."""

    id: Identifier
    version: int = Field(ge=1)
    title: Sentence
    thresholds: Mapping[ThresholdName, Threshold] = Field(default_factory=dict)
    """The values that rules compare with, as ``thresholds.NAME``. A tenant may override them."""
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_unique_rule_ids(self) -> Policy:
        ids: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.id in ids:
                raise PydanticCustomError(
                    "duplicate_rule", "another rule has this id already: rename one", {"index": index}
                )
            ids.add(rule.id)
        return self

    @cached_property
    def named_thresholds(self) -> frozenset[str]:
        """The thresholds that a rule names. All other thresholds state levels of metrics."""
        expressions = (expression for rule in self.rules for expression in rule.expressions.values())
        return frozenset(name for expression in expressions for name in expression.thresholds)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the whole policy except its examples, as canonical JSON.

        Results with another digest are outdated.
        """
        content = self.model_dump(mode="json", exclude={"rules": {"__all__": {"examples"}}})
        return sha256_of(canonical_json(content))


@cache
def default_policy(*, with_examples: bool = False) -> Policy:
    """Return the policy that comes with the package. It applies to tenants without a policy of their own.

    Args:
        with_examples: whether the rules have their examples. The examples are the tests of the rules, and more than
            half of the files.
    """
    with as_file(files("verifywise_mlflow.compliance") / "policies") as folder:
        context = PolicyContext(shipped_catalog(), is_shipped=True)
        return _load(folder / "default.yaml", context, omitted_key="" if with_examples else "examples")


def load_policy(path: Path, catalog: Catalog | None = None) -> Policy:
    """Return the policy of a YAML file, including the rule files that it lists in ``files``.

    Args:
        path: the policy's file.
        catalog: the frameworks that rules may refer to; by default those that come with the package.

    Raises:
        PolicyError: a file is missing, is not YAML, or contains an invalid rule; or a rule compares with a threshold
            that the policy does not have, or no rule compares with a threshold of the policy.
    """
    return _load(path, PolicyContext(catalog or shipped_catalog()))


def _load(path: Path, context: PolicyContext, *, omitted_key: str = "") -> Policy:
    try:
        head = read_yaml_source(path, expected=_EXPECTED_KEYS, omitted_key=omitted_key)
        sources = [head, *(_rule_file(head, name, omitted_key) for name in _file_names(head))]
    except YamlSourceError as error:
        raise PolicyError(str(error)) from error
    locations = [(source, index) for source in sources for index in range(len(_rules(source)))]
    document = {key: value for key, value in head.document.items() if key != "files"}
    if locations and isinstance(document.get("rules", []), list):
        document["rules"] = [_rules(source)[index] for source, index in locations]
    try:
        policy = Policy.model_validate(document, context=context)
    except ValidationError as error:
        raise PolicyError("\n".join(validation_messages(error, head, locations))) from error
    if errors := list(_threshold_errors(policy, head, locations)):
        raise PolicyError("\n".join(errors))
    return policy


def _threshold_errors(policy: Policy, head: YamlSource, locations: Sequence[tuple[YamlSource, int]]) -> Iterator[str]:
    """Yield mismatches between thresholds and rules: a threshold that no rule uses is probably misspelled."""
    used: set[str] = set()
    for rule, (source, index) in zip(policy.rules, locations, strict=True):
        for place, expression in rule.expressions.items():
            for name in expression.thresholds:
                used.add(name)
                if name not in policy.thresholds:
                    line = source.line_of(("rules", index, *place))
                    defined = ", ".join(policy.thresholds) or "none"
                    field = ".".join(map(str, place))
                    yield (
                        f"{source.path}:{line}: rule {rule.id!r}: {field}: the policy has no threshold {name!r} "
                        f"(defined: {defined}): add it under thresholds, or correct the name"
                    )
    for name in policy.thresholds.keys() - used:
        if is_level(name, policy.thresholds.keys() - {name}):
            continue
        line = head.line_of(("thresholds", name))
        yield f"{head.path}:{line}: thresholds.{name}: no rule compares with it: remove it, or correct its name"


def _rules(source: YamlSource) -> list[object]:
    rules = source.document.get("rules")
    return rules if isinstance(rules, list) else []


def _file_names(head: YamlSource) -> list[str]:
    names = head.document.get("files", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise YamlSourceError(f"{head.path}:{head.line_of(('files',))}: files: write a list of paths")
    return names


def _rule_file(head: YamlSource, name: str, omitted_key: str) -> YamlSource:
    """Return a file that the head lists, in the head's folder or below: a policy is copied as one folder."""
    location = f"{head.path}:{head.line_of(('files', _file_names(head).index(name)))}: files"
    relative_path = PurePosixPath(name)
    if relative_path.is_absolute() or ".." in relative_path.parts:
        raise YamlSourceError(f"{location}: {name!r} is outside the folder of this file: move it into that folder")
    try:
        source = read_yaml_source(
            head.path.parent / relative_path, expected=_EXPECTED_KEYS_OF_RULE_FILE, omitted_key=omitted_key
        )
    except YamlFileNotFoundError as error:
        raise YamlSourceError(f"{location}: {error}") from error
    if set(source.document) != {"rules"} or not _rules(source):
        raise YamlSourceError(f"{source.path}:{source.line_of(('rules',))}: {_EXPECTED_KEYS_OF_RULE_FILE}")
    return source
