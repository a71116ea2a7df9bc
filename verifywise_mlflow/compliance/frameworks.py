"""The catalog of clauses that rules may give evidence for, with the most that MLflow can show of each.

The catalog has each clause's number and a sentence of our own, never the text of a standard. How much MLflow can show
is an upper limit: no rule and no report may claim more of a clause than the catalog does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from verifywise_mlflow.compliance.validation_messages import validation_messages
from verifywise_mlflow.compliance.yaml_source import YamlSourceError, read_yaml_source

FrameworkName = Literal["EU AI Act", "GDPR", "ISO/IEC 42001", "NIST AI RMF"]
FRAMEWORK_NAMES: Final[tuple[FrameworkName, ...]] = get_args(FrameworkName)

Confidence = Literal["high", "medium", "low"]

_Sentence = Annotated[str, Field(min_length=1)]


class CatalogError(ValueError):
    """A file of the catalog is invalid. The message has one line per error: file, line, field."""


class Obtainable(StrEnum):
    """How much MLflow can show of what a clause requires, most first."""

    EVIDENCED = "evidenced"
    """A value that MLflow recorded by itself shows what the clause requires."""
    PARTLY = "partly"
    """MLflow shows a part; the clause's ``blank`` says what it does not show."""
    DECLARED_ONLY = "declared only"
    """MLflow shows a claim, such as a tag, not that the claim is true."""
    NOT_OBTAINABLE = "not obtainable from MLflow"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApplicationDate(_Section):
    """The date from which clauses apply."""

    applicable_from: date
    source: _Sentence
    """Where the date was published."""


class Clause(_Section):
    """One clause, and how much of it evidence in MLflow can show."""

    id: _Sentence
    """As it is cited: ``Annex IV(2)(c)``, ``cl. 7.5.3``, ``MAP 1.1``."""
    about: _Sentence
    """What the clause is about, in our own words."""
    obtainable: Obtainable
    direct: str = ""
    """The part that MLflow records by itself, without relying on a declaration. Stated for Annex IV only."""
    blank: str = ""
    """What MLflow does not show. Stated for every clause that is not evidenced in full."""
    confidence: Confidence = "high"
    """The confidence that the number and the sentence about the clause are right."""
    applies: str | None = None
    """The entry in the framework's ``dates`` with the day from which it applies; null for a voluntary clause."""
    shown_by: Literal["rules", "records"] = "rules"
    """``records``: the stored records, their history and the audit trail are the evidence; no rule is needed."""

    @model_validator(mode="after")
    def _states_what_is_not_shown(self) -> Clause:
        if self.obtainable in (Obtainable.PARTLY, Obtainable.NOT_OBTAINABLE) and not self.blank.strip():
            raise ValueError("blank is empty: state what MLflow does not show")
        return self


class Framework(_Section):
    """A law, a standard or a framework, with the clauses that matter here."""

    name: FrameworkName
    edition: _Sentence
    covers: _Sentence
    """Which of its clauses the list contains, so that it is not taken for complete."""
    source: _Sentence
    """The source of its numbers and sentences, and how reliable it is."""
    dates: Mapping[str, ApplicationDate] = Field(default_factory=dict)
    clauses: tuple[Clause, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> Framework:
        if duplicates := {clause.id for clause in self.clauses if clause is not self.by_id[clause.id]}:
            raise ValueError(f"these clauses occur twice: {', '.join(sorted(duplicates))}: remove one of each")
        if undated := {clause.applies for clause in self.clauses if clause.applies} - set(self.dates):
            raise ValueError(f"dates has no entry {', '.join(sorted(undated))}: add it, or correct applies")
        return self

    @cached_property
    def by_id(self) -> Mapping[str, Clause]:
        """The clauses by their numbers."""
        return {clause.id: clause for clause in self.clauses}

    def application_date_of(self, clause: Clause) -> ApplicationDate | None:
        """Return the date from which a clause applies; None for a voluntary clause."""
        return self.dates[clause.applies] if clause.applies else None


def load_framework(path: Path) -> Framework:
    """Return the framework of one file of the catalog.

    Raises:
        CatalogError: the file cannot be read, or is not a valid framework.
    """
    try:
        source = read_yaml_source(path, expected="write name, edition, covers, source and clauses at the top level")
    except YamlSourceError as error:
        raise CatalogError(str(error)) from error
    try:
        return Framework.model_validate(source.document)
    except ValidationError as error:
        raise CatalogError("\n".join(validation_messages(error, source))) from error


@cache
def catalog() -> Mapping[FrameworkName, Framework]:
    """Return the frameworks that come with the package, by name, in the order of ``FRAMEWORK_NAMES``."""
    with as_file(files(__package__) / "frameworks") as folder:
        frameworks = {framework.name: framework for framework in map(load_framework, sorted(folder.glob("*.yaml")))}
    return {name: frameworks[name] for name in FRAMEWORK_NAMES}
