"""The redaction settings of a tenant, as written in ``tenants.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.redaction.personal_data import PERSONAL_DATA_KINDS
from verifywise_mlflow.redaction.re2_patterns import PatternError, compile_pattern
from verifywise_mlflow.redaction.token_scanner import SCANNER_RELEASE

RULES_REVISION = 5
"""The revision of the rules. Increase it if this package redacts other texts than before: the next sync then reads and
redacts everything again."""

MAX_PATTERNS = 50

MAX_GLOB_LENGTH = 250
"""The maximum number of characters of a glob, which is MLflow's own maximum for a key."""


def _check_glob(glob: str) -> str:
    if not glob.strip():
        raise ValueError("write a key, or a part of it with *")
    if len(glob) > MAX_GLOB_LENGTH:
        raise ValueError(f"a key has at most {MAX_GLOB_LENGTH} characters")
    return glob


Glob = Annotated[str, AfterValidator(_check_glob)]
"""A key in which ``*`` matches any characters. Case is ignored."""


def _known_kind(kind: str) -> str:
    if kind not in PERSONAL_DATA_KINDS:
        raise ValueError(
            f"{kind!r} is not a known kind of personal data; write one of {', '.join(PERSONAL_DATA_KINDS)}"
        )
    return kind


def _check_pattern(pattern: str) -> str:
    try:
        matches_empty_text = compile_pattern(pattern).matches("")
    except PatternError as error:
        raise ValueError(f"this is not a valid RE2 pattern: {error}") from None
    if matches_empty_text:
        raise ValueError("this pattern matches every text, even an empty one: make it require at least one character")
    return pattern


PersonalDataKind = Annotated[str, AfterValidator(_known_kind)]
PatternText = Annotated[str, Field(max_length=500), AfterValidator(_check_pattern)]
PatternName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Section(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class KeyFilter(_Section):
    """Which keys are stored. The other keys are only counted."""

    allow: tuple[Glob, ...] | None = None
    """Store only these keys, and MLflow's own keys (``mlflow.*``). If null, store all keys."""
    deny: tuple[Glob, ...] = ()
    """Never store these keys. This overrides ``allow``, also for MLflow's own keys."""


class SecretSettings(_Section):
    """Passwords, keys and tokens, also within URIs and connection strings."""

    redact: bool = True
    allow: tuple[Glob, ...] = ()
    """Keys whose values are not redacted."""


class PersonalDataSettings(_Section):
    """Personal data. It is not redacted by default: governance needs an owner's email address."""

    redact: tuple[PersonalDataKind, ...] = ()
    patterns: Mapping[PatternName, PatternText] = Field(default_factory=dict, max_length=MAX_PATTERNS)
    """The tenant's own RE2 patterns, by the name that the placeholder shows."""
    keep_in: tuple[Glob, ...] = ()
    """Keys and fields that are not scanned."""

    @field_validator("patterns")
    @classmethod
    def _has_new_names(cls, patterns: Mapping[str, str]) -> Mapping[str, str]:
        for name in patterns:
            if name in PERSONAL_DATA_KINDS:
                raise ValueError(f"{name} is a built-in kind: list it under redact, or choose another name")
        return patterns


class RedactionSettings(_Section):
    """What is redacted before anything is stored."""

    tags: KeyFilter = KeyFilter()
    """Tags of registered models, versions, runs, logged models and experiments."""
    params: KeyFilter = KeyFilter()
    metrics: KeyFilter = KeyFilter()
    secrets: SecretSettings = SecretSettings()
    personal_data: PersonalDataSettings = PersonalDataSettings()

    def digest(self) -> str:
        """Return the SHA-256, in hex, of the settings and redaction rules. If it changes, everything is read again."""
        return sha256_of(canonical_json([self.model_dump(mode="json"), RULES_REVISION, SCANNER_RELEASE]))
