"""The catalogue: which clauses there are that rules may give evidence for, and how much of each MLflow can show.

A clause stands here by its number, with a sentence of our own; what a standard says in its own words does not. How
much MLflow can show is a bound: no rule and no view may claim more of a clause than stands here.
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

from verifywise_mlflow.compliance.rules.validation_messages import complaints
from verifywise_mlflow.compliance.rules.yaml_source import UnreadableError, read_written

FrameworkName = Literal["EU AI Act", "GDPR", "ISO/IEC 42001", "NIST AI RMF"]
FRAMEWORK_NAMES: Final[tuple[FrameworkName, ...]] = get_args(FrameworkName)

Confidence = Literal["high", "medium", "low"]

_Sentence = Annotated[str, Field(min_length=1)]


class CatalogueError(ValueError):
    """A file of the catalogue is wrong. The message has a line for each error: file, line, field."""


class Obtainable(StrEnum):
    """How much MLflow can show of what a clause asks for, the most first."""

    EVIDENCED = "evidenced"
    """A value that MLflow recorded by itself shows what the clause asks for."""
    PARTLY = "partly"
    """It shows a part; the clause's ``blank`` says what it does not."""
    DECLARED = "declared only"
    """It shows that somebody claims it, as a tag does, and not that it is so."""
    NOT_OBTAINABLE = "not obtainable from MLflow"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Application(_Section):
    """From when on clauses apply."""

    applicable_from: date
    source: _Sentence
    """Where the date was read."""


class Clause(_Section):
    """One clause, as far as evidence in MLflow is concerned."""

    id: _Sentence
    """As it is cited: ``Annex IV(2)(c)``, ``cl. 7.5.3``, ``MAP 1.1``."""
    about: _Sentence
    """In our own words."""
    obtainable: Obtainable
    direct: str = ""
    """The part of it that MLflow recorded without anybody's word for it, where there is such. Told of Annex IV."""
    blank: str = ""
    """What MLflow does not show of it. Said of everything that is not evidenced in full."""
    confidence: Confidence = "high"
    """How sure we are of the number and of what the clause is about."""
    applies: str | None = None
    """Which of the framework's ``dates`` it applies from; null for what is followed by choice."""
    shown_by: Literal["rules", "records"] = "rules"
    """``records``: that records are kept at all, with their history and trail, is the evidence; no rule is needed."""

    @model_validator(mode="after")
    def _says_what_is_blank(self) -> Clause:
        if self.obtainable in (Obtainable.PARTLY, Obtainable.NOT_OBTAINABLE) and not self.blank.strip():
            raise ValueError("say in blank what MLflow does not show")
        return self


class Framework(_Section):
    """A law, a standard or a framework, with the clauses that matter here."""

    name: FrameworkName
    edition: _Sentence
    covers: _Sentence
    """Which of its clauses stand here, so that nobody takes the list for more than it is."""
    source: _Sentence
    """From where its numbers and sentences come, and how sure that is."""
    dates: Mapping[str, Application] = Field(default_factory=dict)
    clauses: tuple[Clause, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _holds_together(self) -> Framework:
        if twice := {clause.id for clause in self.clauses if clause is not self.by_id[clause.id]}:
            raise ValueError(f"these clauses stand here twice: {', '.join(sorted(twice))}")
        if undated := {clause.applies for clause in self.clauses if clause.applies} - set(self.dates):
            raise ValueError(f"dates has none that is called {', '.join(sorted(undated))}")
        return self

    @cached_property
    def by_id(self) -> Mapping[str, Clause]:
        """The clauses by their numbers."""
        return {clause.id: clause for clause in self.clauses}

    def application_of(self, clause: Clause) -> Application | None:
        """Return from when on a clause applies; None where it is followed by choice."""
        return self.dates[clause.applies] if clause.applies else None


def load_framework(path: Path) -> Framework:
    """Return the framework of one file of the catalogue.

    Raises:
        CatalogueError: the file cannot be read, or says something that is no framework.
    """
    try:
        written = read_written(path, expected="write name, edition, covers, source and clauses at the top")
    except UnreadableError as error:
        raise CatalogueError(str(error)) from error
    try:
        return Framework.model_validate(written.document)
    except ValidationError as error:
        raise CatalogueError("\n".join(complaints(error, written))) from error


@cache
def catalogue() -> Mapping[FrameworkName, Framework]:
    """Return the frameworks that come with the package, by name, in the order of ``FRAMEWORK_NAMES``."""
    with as_file(files(__package__) / "frameworks") as folder:
        found = {framework.name: framework for framework in map(load_framework, sorted(folder.glob("*.yaml")))}
    return {name: found[name] for name in FRAMEWORK_NAMES}
