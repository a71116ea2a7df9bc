"""Outlines: the clauses of a document, their order, and what fills each clause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Annotated, Final

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from verifywise_mlflow.common.file_names import file_stem
from verifywise_mlflow.common.strict_yaml import PackagedFileLoader
from verifywise_mlflow.compliance.frameworks import Clause, Framework
from verifywise_mlflow.documents.clause_documents.evidence_values import VALUE_NAMES
from verifywise_mlflow.documents.declared_facts import FACTS


def _is_evidence(name: str) -> str:
    if name not in VALUE_NAMES:
        raise ValueError(f"{name!r} is neither a field of the record nor a name of evidence")
    return name


def _is_fact(name: str) -> str:
    if name not in FACTS:
        raise ValueError(f"{name!r} is not a fact of a declared system; write one of {', '.join(FACTS)}")
    return name


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutlinedClause(_Section):
    """A clause of a document."""

    id: str
    """The clause's id in the framework's catalog."""
    title: str
    values: tuple[Annotated[str, AfterValidator(_is_evidence)], ...] = ()
    """The names of the version's values that fill the clause."""
    declared: tuple[Annotated[str, AfterValidator(_is_fact)], ...] = ()
    """The names of the declared facts that fill the clause."""
    asks: str
    """What a person has to write."""


class OutlinedPart(_Section):
    """A part of a document."""

    title: str
    clauses: tuple[OutlinedClause, ...] = Field(min_length=1)


class Outline(_Section):
    """The order of a document."""

    framework: str
    title: str
    file: str
    """The name of the document's file, without its ending."""
    parts: tuple[OutlinedPart, ...] = Field(min_length=1)


_SHIPPED: Final[Mapping[str, str]] = {"EU AI Act": "annex_iv.yaml"}
"""Framework to the file with its outline."""


def outline_of(framework: Framework) -> Outline:
    """Return the outline of a framework: our own outline, or an outline with all clauses of the catalog."""
    name = _SHIPPED.get(framework.name)
    return _shipped(name) if name else _from_catalog(framework)


@cache
def _shipped(name: str) -> Outline:
    text = (files(__package__) / "outlines" / name).read_text(encoding="utf-8")
    return Outline.model_validate(yaml.load(text, Loader=PackagedFileLoader))  # noqa: S506  # a SafeLoader


def _from_catalog(framework: Framework) -> Outline:
    parts = groupby(framework.clauses, key=_part_of)
    return Outline(
        framework=framework.name,
        title=f"Evidence in the order of {framework.name}",
        file=f"clauses-{file_stem(framework.name.casefold())}",
        parts=tuple(
            OutlinedPart(
                title=part,
                clauses=tuple(
                    OutlinedClause(id=clause.id, title=clause.about.rstrip("."), asks=_asks(clause))
                    for clause in clauses
                ),
            )
            for part, clauses in parts
        ),
    )


def _part_of(clause: Clause) -> str:
    """Return the part that a clause belongs to: ``cl. 6`` for ``cl. 6.1.2``, ``A.6`` for ``A.6.2.3``, ``GOVERN 1``."""
    return re.split(r"(?<=\d)[.(]", clause.id, maxsplit=1)[0]


def _asks(clause: Clause) -> str:
    blank = clause.blank.strip()
    if not blank or blank == "Everything.":
        return f"{clause.about.rstrip('.')}: how the organization meets this, and where it is documented."
    return blank
