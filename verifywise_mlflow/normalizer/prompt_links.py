"""Resolves the prompts that a version names against the prompts of the registry.

Only MLflow's own form, ``prompts:/NAME/3`` or ``prompts:/NAME@ALIAS``, certainly means the registry. Another text, such
as ``summary v3``, is linked if the registry has a prompt of that name. If it has none, the text may name a file or
another system.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.prompt_reference import named_prompts

LinkState = Literal["found", "deleted", "not in the registry", "without version"]
"""The state of a named prompt: whether the registry has it."""

MAX_LINKS: Final = 100
"""The maximum number of prompts of one version that are resolved: the first prompts."""

_NAME: Final = r"(?P<name>[A-Za-z0-9_.-]{1,256})"
_ALIAS: Final = r"@(?P<alias>[^\s/@]{1,256})"
_URI = re.compile(rf"prompts:/{{1,3}}{_NAME}(?:/(?P<version>[0-9]{{1,9}})|{_ALIAS})?")
_PLAIN = re.compile(
    rf"{_NAME}(?:(?:[\s/:=#(]{{1,3}}|@)(?:v(?:ersion)?\.? ?)?(?P<version>[0-9]{{1,9}})\)?|{_ALIAS})?", re.IGNORECASE
)
_LATEST: Final = "latest"
"""MLflow's own alias for the highest version number. Users cannot set an alias of this name."""


@dataclass(frozen=True, slots=True)
class RegisteredPromptVersion:
    """A version of a prompt in the registry."""

    template_sha256: str | None
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class RegisteredPrompt:
    """A prompt in the registry."""

    revision: int
    aliases: Mapping[str, int]
    versions: Mapping[int, RegisteredPromptVersion]
    is_deleted: bool

    def number_of(self, alias: str) -> int | None:
        """Return the number of the version that an alias points to."""
        if alias in self.aliases or alias != _LATEST:
            return self.aliases.get(alias)
        return max((number for number, version in self.versions.items() if not version.is_deleted), default=None)


PromptIndex: TypeAlias = Mapping[str, RegisteredPrompt]
"""All prompts of a registry, by name."""


@value_object
class PromptLink:
    """A prompt that a version names, and its state in the registry."""

    name: str
    version_number: int | None
    """The named version, or the version to which the named alias pointed when the registry was last read."""
    alias: str | None
    state: LinkState
    template_sha256: str | None
    text: str
    """The text in which the version names the prompt."""


def prompt_links(text: str | None, index: PromptIndex | None) -> tuple[PromptLink, ...]:
    """Return the prompts that a text names, resolved; none if the registry's prompts were not read.

    Args:
        text: the prompts that a version names.
        index: all prompts of the registry.
    """
    if text is None or index is None:
        return ()
    links = (_link(named, index) for named in named_prompts(text)[:MAX_LINKS])
    return tuple(dict.fromkeys(link for link in links if link))


def _link(text: str, index: PromptIndex) -> PromptLink | None:
    match = _parsed(text)
    if match is None or (match.re is _PLAIN and match["name"] not in index):
        return None
    name, alias = match["name"], match["alias"]
    number = int(match["version"]) if match["version"] else None
    prompt = index.get(name)
    if prompt and alias is not None:
        number = prompt.number_of(alias)
    version = prompt.versions.get(number) if prompt and number is not None else None
    if version:
        state: LinkState = "deleted" if version.is_deleted else "found"
    elif prompt and number is None and alias is None:
        state = "deleted" if prompt.is_deleted else "without version"
    else:
        state = "not in the registry"
    return PromptLink(name, number, alias, state, version.template_sha256 if version else None, text)


def linked_prompts_json(links: Sequence[PromptLink]) -> Json:
    """Return the links in the form of the record; None if there are no links."""
    return [
        {
            "name": link.name,
            "version": link.version_number,
            "alias": link.alias,
            "state": link.state,
            "template_sha256": link.template_sha256,
        }
        for link in links
    ] or None


def link_findings(links: Sequence[PromptLink]) -> Iterator[Finding]:
    """Yield a finding for each named prompt that the registry does not have."""
    for link in links:
        if link.state == "deleted":
            sentence = f"prompt_reference: {quote(link.text)} names a prompt that was deleted from the registry"
            yield Finding("deleted prompt", "prompt_reference", sentence)
        elif link.state == "not in the registry":
            sentence = f"prompt_reference: {quote(link.text)} names a prompt that the registry does not show"
            yield Finding("prompt not in the registry", "prompt_reference", sentence)


def newest_revision(names: Sequence[str], index: PromptIndex | None) -> int | None:
    """Return the newest revision of the named prompts that the registry has."""
    return max((index[name].revision for name in names if name in index), default=None) if index else None


def possible_names(text: str | None) -> tuple[str, ...]:
    """Return the names of prompts that a text may mean, sorted. If such a prompt changes, the links may change."""
    named = named_prompts(text)[:MAX_LINKS] if text else ()
    return tuple(sorted({match["name"] for match in map(_parsed, named) if match}))


def _parsed(text: str) -> re.Match[str] | None:
    return (_URI if text.startswith("prompts:/") else _PLAIN).fullmatch(text)
