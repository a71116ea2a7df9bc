"""Frameworks: the clauses that rules may give evidence for. Each clause states how much of it MLflow can show at most.

A framework is a YAML file. Some frameworks come with the package; operators and tenants add other frameworks. Each
clause has its number and a sentence of our own, never the text of a standard. How much MLflow can show is an upper
limit: no rule and no report may claim more of a clause than the catalog does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.compliance.validation_messages import validation_messages
from verifywise_mlflow.compliance.yaml_source import YamlSourceError, read_yaml_source

Confidence = Literal["high", "medium", "low"]

_Sentence = Annotated[str, Field(min_length=1)]
FrameworkName = Annotated[str, Field(pattern=r"^[^\s\p{C}](?:[^\p{C}\p{Z}]| )*$", max_length=60)]
"""A name on one line, such as ``EU AI Act``."""
_Url = Annotated[str, Field(pattern=r"^https://[^\s()<>\[\]\\\"'`]+$", max_length=500)]


class CatalogError(ValueError):
    """A framework's file cannot be used. The message has one line per error: file, line, field."""


class Obtainable(StrEnum):
    """How much MLflow can show of a clause's requirement. The first value is the highest."""

    EVIDENCED = "evidenced"
    """A value that MLflow recorded by itself shows what the clause requires."""
    PARTLY = "partly"
    """MLflow shows a part. The clause's ``blank`` states what MLflow does not show."""
    DECLARED_ONLY = "declared only"
    """MLflow shows a claim, such as a tag, but not that the claim is true."""
    SUPPORTS = "supports"
    """The clause is about keeping records, and records, their history and the audit trail exist: no part is met."""
    NOT_OBTAINABLE = "not obtainable from MLflow"


class _Section(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class ApplicationDate(_Section):
    """The date from which clauses apply."""

    applicable_from: date
    source: _Sentence
    """Where the date was published, with remarks."""
    checked: bool = False
    """Whether somebody compared the date with the official publication."""

    @property
    def short_form(self) -> str:
        """The date, with a note if nobody has checked it."""
        return f"{self.applicable_from}{'' if self.checked else ', not checked'}"

    @property
    def cited_source(self) -> str:
        """The source. If nobody has checked the date, the text states this."""
        return self.source if self.checked else f"{self.source}; not checked in the official publication"


class Clause(_Section):
    """One clause, and how much of it evidence in MLflow can show."""

    id: _Sentence
    """The number in the form in which people cite it: ``Annex IV(2)(c)``, ``cl. 7.5.3``, ``MAP 1.1``."""
    about: _Sentence
    """What the clause is about, in our own words."""
    obtainable: Obtainable
    """How much MLflow can show of the clause at most."""
    direct: str = ""
    """The part that MLflow records by itself, without a declaration. Only clauses of Annex IV state it."""
    blank: str = ""
    """What MLflow does not show. Required for every clause that is neither evidenced in full nor declared."""
    confidence: Confidence = "high"
    """The confidence that the number and the sentence about the clause are right."""
    applies: str | None = None
    """The name of the entry in the framework's ``dates`` that states from when the clause applies; None for a voluntary
    clause."""

    @model_validator(mode="after")
    def _states_what_is_not_shown(self) -> Clause:
        if self.obtainable not in (Obtainable.EVIDENCED, Obtainable.DECLARED_ONLY) and not self.blank.strip():
            raise ValueError("blank is empty: state what MLflow does not show")
        return self


class Framework(_Section):
    """A law, a standard or a framework, with the clauses that matter here."""

    name: FrameworkName
    edition: _Sentence
    covers: _Sentence
    """Which clauses of the framework the list contains. Readers must not take the list for complete."""
    source: _Sentence
    """The source of the clauses' numbers and sentences, and how reliable the source is."""
    url: _Url | None = None
    """The publisher's page. It is linked, never fetched."""
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
    def digest(self) -> str:
        """SHA-256, in hex, of the framework as canonical JSON."""
        return sha256_of(canonical_json(self.model_dump(mode="json")))

    @cached_property
    def by_id(self) -> Mapping[str, Clause]:
        """The clauses by their numbers."""
        return {clause.id: clause for clause in self.clauses}

    def application_date_of(self, clause: Clause) -> ApplicationDate | None:
        """Return the date from which a clause applies; None for a voluntary clause."""
        return self.dates[clause.applies] if clause.applies else None


Catalog: TypeAlias = Mapping[str, Framework]
"""Frameworks by name."""


@cache
def shipped_catalog() -> Catalog:
    """Return the frameworks that come with the package, in the order of their files' names."""
    with as_file(files(__package__) / "frameworks") as folder:
        return {framework.name: framework for framework in map(load_framework, sorted(folder.glob("*.yaml")))}


def extend_catalog(paths: Iterable[Path]) -> Catalog:
    """Return the frameworks that come with the package and the frameworks in other files.

    Raises:
        CatalogError: a file cannot be read, is not a valid framework, or has the name of another framework. A framework
            cannot replace a framework that comes with the package: rules would then silently give evidence for other
            clauses.
    """
    catalog = dict(shipped_catalog())
    sources = {name.casefold(): "this release" for name in catalog}
    errors: list[str] = []
    for path in dict.fromkeys(paths):
        try:
            framework = load_framework(path)
        except CatalogError as error:
            errors += str(error).splitlines()
            continue
        taken_by = sources.setdefault(framework.name.casefold(), str(path))
        if taken_by != str(path):
            line = read_yaml_source(path, expected="").line_of(("name",))
            errors.append(
                f"{path}:{line}: name: {taken_by} has a framework {framework.name!r} already: choose another name, "
                f"such as '{framework.name} (own)'"
            )
        catalog[framework.name] = framework
    if errors:
        raise CatalogError("\n".join(errors))
    return catalog


def own_frameworks(catalog: Catalog) -> tuple[Framework, ...]:
    """Return the frameworks of a catalog that do not come with the package."""
    return tuple(framework for name, framework in catalog.items() if name not in shipped_catalog())


def dated(applicable_from: date, source: str | None) -> str:
    """Return a date of application with its source."""
    return f"{applicable_from} ({source})" if source else str(applicable_from)


def load_framework(path: Path) -> Framework:
    """Return the framework of one file.

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
