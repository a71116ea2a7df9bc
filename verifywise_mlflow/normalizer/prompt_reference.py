"""The prompts of a model version: the prompts that its texts name, and whether each prompt is pinned to one version.

A prompt that is named without a version or by an alias such as ``@latest`` can change while the model that uses it
stays the same. The prompt in use is then not the evaluated prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.mapping.precedence import Resolution

_MAX_PROMPT_LENGTH: Final = 500
"""The maximum length of a prompt name with its version, in characters: the patterns may take quadratic time."""
_MAX_TEXT_LENGTH: Final = 20_000
"""The maximum length of a text that is split, in characters. A longer text names no prompt that a person could look
up."""

_GENERATIVE: Final = "generative"
_BY_PROMPTS: Final = "nothing states the kind of the model, and one that uses prompts is generative"

_SEPARATORS = re.compile(r"[,;|\n]")
_NUMBER = r"(?:v(?:ersion)?\.? ?)?[0-9]{1,9}(?:[.-][0-9]{1,9}){0,3}"
_HASH = r"(?:sha256:|commit )?(?=[0-9a-f]*[0-9])[0-9a-f]{7,64}"
_VERSION_ALONE = re.compile(rf"(?:{_NUMBER}|{_HASH})", re.IGNORECASE)
# After a hyphen or an underscore, a number is a version only if it has the letter v: `gpt-4` and `top_10` are names.
_VERSION_AT_END = re.compile(
    rf".*[^\s/@:=#(](?:[\s/@:=#(]+(?:{_NUMBER}|{_HASH})|[-_.]v[0-9]{{1,9}}(?:\.[0-9]{{1,9}}){{0,3}})\)?(?:\.[a-z]{{2,5}})?",
    re.IGNORECASE,
)
# In MLflow's own form, a version follows a slash: in `prompts:/summary@3`, 3 is the name of an alias.
_ALIAS_IN_URI = re.compile(r"prompts:/[^\s@]*@", re.IGNORECASE)
_ALIAS_AT_END = re.compile(
    r".+@[^\s/@]+|(?:.*[\s/@:=#(])?(?:latest|current|newest|head|main|master|default|production|prod|champion)\)?",
    re.IGNORECASE,
)


def linked_prompts_text(raw: str) -> str:
    """Return a JSON list of prompts as URIs; any other text unchanged.

    The tag ``mlflow.linkedPrompts``, in which MLflow 3 records the prompts of runs and logged models, has the form
    ``[{"name": "summarizer", "version": "3"}]``.
    """
    try:
        entries = json.loads(raw) if raw.startswith("[") and len(raw) <= _MAX_TEXT_LENGTH else None
    except (ValueError, RecursionError):
        return raw
    if not isinstance(entries, list):
        return raw
    uris = [
        f"prompts:/{entry['name']}" + (f"/{version}" if (version := entry.get("version")) is not None else "")
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    ]
    return ", ".join(uris) or raw


def kind_by_prompts(kind: Resolution, prompts: Resolution) -> Resolution:
    """Return the kind of a model. If no source states the kind, a model that uses prompts is generative."""
    if kind.origin or prompts.value is None or prompts.origin is None:
        return kind
    return Resolution(_GENERATIVE, replace(prompts.origin, rule=_BY_PROMPTS), kind.findings)


def prompt_findings(text: str | None, other_texts: Iterable[str] = ()) -> Iterator[Finding]:
    """Yield a finding for each prompt that is not pinned to one version.

    Args:
        text: the prompts that a version names.
        other_texts: texts of sources with less precedence. Such a text may lack a version, but an alias in it
            contradicts the version that the first text names. Texts with spaces in a name are left out, because they
            are more likely the words of a prompt.
    """
    prompts = named_prompts(text) if text else ()
    for prompt in prompts:
        named_by = _named_by(prompt)
        if named_by == "alias":
            yield _unpinned(prompt)
        elif named_by == "name":
            sentence = f"prompt_reference: {quote(prompt)} names no version"
            yield Finding("prompt without version", "prompt_reference", sentence)
    reported = set(prompts)
    for prompt in dict.fromkeys(prompt for other in other_texts for prompt in named_prompts(other)):
        if prompt not in reported and " " not in prompt and _named_by(prompt) == "alias":
            yield _unpinned(prompt)


def _named_by(prompt: str) -> Literal["version", "alias", "name"]:
    if len(prompt) > _MAX_PROMPT_LENGTH:
        return "name"
    if _ALIAS_IN_URI.search(prompt):
        return "alias"
    if _VERSION_ALONE.fullmatch(prompt) or _VERSION_AT_END.fullmatch(prompt):
        return "version"
    return "alias" if _ALIAS_AT_END.fullmatch(prompt) else "name"


def _unpinned(prompt: str) -> Finding:
    sentence = f"prompt_reference: {quote(prompt)} names an alias, which may point to another version tomorrow"
    return Finding("unpinned prompt", "prompt_reference", sentence)


def named_prompts(text: str) -> Sequence[str]:
    """Return the prompts that a text names, each as it is written in the text."""
    if len(text) > _MAX_TEXT_LENGTH:
        return [text]
    prompts = dict.fromkeys(filter(None, (part.strip(" \t\r[]\"'") for part in _SEPARATORS.split(text))))
    return [*prompts] or [text]
