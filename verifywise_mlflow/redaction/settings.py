"""What a tenant wants kept of its customers' texts, as ``tenants.yaml`` describes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from verifywise_mlflow.redaction.globs import Glob
from verifywise_mlflow.redaction.personal_data import KINDS
from verifywise_mlflow.redaction.re2_patterns import PatternError, compiled
from verifywise_mlflow.redaction.token_scanner import CATALOGUE

OUR_RULES = 2
"""To be raised with each change of what this room finds: what is stored is then read and looked through again."""

MOST_PATTERNS = 50


def _known_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of personal data that is known; there are {', '.join(KINDS)}")
    return kind


def _linear(pattern: str) -> str:
    try:
        is_found_in_nothing = compiled(pattern).is_found_in("")
    except PatternError as error:
        raise ValueError(f"this is no pattern as RE2 has them: {error}") from None
    if is_found_in_nothing:
        raise ValueError("this pattern is found in every text, the empty one too")
    return pattern


PersonalDataKind = Annotated[str, AfterValidator(_known_kind)]
LinearPattern = Annotated[str, Field(max_length=500), AfterValidator(_linear)]
PatternName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Keys(_Section):
    """Which keys are kept. What is not kept leaves nothing behind but how many there were."""

    allow: tuple[Glob, ...] | None = None
    """Only these, and MLflow's own (``mlflow.*``). Null: all."""
    deny: tuple[Glob, ...] = ()
    """Never these, whatever ``allow`` says, MLflow's own too."""


class Secrets(_Section):
    """Passwords, keys, tokens, and the like of them in addresses and connection strings."""

    redact: bool = True
    allow: tuple[Glob, ...] = ()
    """Keys whose values are left as they are."""


class PersonalData(_Section):
    """Off by default: an owner's mail address is what governance asks for."""

    redact: tuple[PersonalDataKind, ...] = ()
    patterns: Mapping[PatternName, LinearPattern] = Field(default_factory=dict, max_length=MOST_PATTERNS)
    """The tenant's own, by the name that stands in the place of what they find."""
    keep_in: tuple[Glob, ...] = ()
    """Keys and fields that are not looked through."""

    @field_validator("patterns")
    @classmethod
    def _has_names_of_its_own(cls, patterns: Mapping[str, str]) -> Mapping[str, str]:
        for name in patterns:
            if name in KINDS:
                raise ValueError(f"{name} is a kind that there is already: name it under redact, or choose another")
        return patterns


class Minimisation(_Section):
    """What is taken out before anything is stored."""

    tags: Keys = Keys()
    """Of registered models, versions, runs, logged models and experiments."""
    params: Keys = Keys()
    metrics: Keys = Keys()
    secrets: Secrets = Secrets()
    personal_data: PersonalData = PersonalData()

    def digest(self) -> str:
        """Return the SHA-256, in hex, of these settings and of what finds secrets; another one means to read anew."""
        canonical = json.dumps([self.model_dump(mode="json"), OUR_RULES, CATALOGUE], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()
