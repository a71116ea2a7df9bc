"""The variables that rules read about a version's environment, with values that do not come from MLflow."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.environment_facts.end_of_life import EndOfLife, load_end_of_life
from verifywise_mlflow.compliance.environment_facts.vulnerabilities import vulnerabilities_of
from verifywise_mlflow.compliance.environment_facts.vulnerability_copy import (
    VulnerabilityCopy,
    VulnerabilityCopyError,
    open_copy,
)
from verifywise_mlflow.compliance.rules.field_paths import END_OF_LIFE, VULNERABILITIES
from verifywise_mlflow.normalizer.record import CanonicalRecord


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """The facts from outside of MLflow, for any number of records."""

    end_of_life: EndOfLife
    vulnerability_copy: VulnerabilityCopy | VulnerabilityCopyError | None = None
    """The copy of OSV, or why the copy cannot be read; None if the operator gave no copy."""

    def of(self, record: CanonicalRecord, variables: Container[str]) -> dict[str, Mapping[str, Json]]:
        """Return those of the named variables that are about the environment."""
        facts: dict[str, Mapping[str, Json]] = {}
        if VULNERABILITIES in variables:
            facts[VULNERABILITIES] = vulnerabilities_of(record, self.vulnerability_copy)
        if END_OF_LIFE in variables:
            facts[END_OF_LIFE] = self.end_of_life.of(record)
        return facts

    def problems(self, variables: Container[str]) -> list[str]:
        """Return what an operator must correct if rules read these variables, as one sentence for each problem.

        The entries of the copy are not read here: reading them takes seconds, and most syncs evaluate nothing.
        """
        copy = self.vulnerability_copy
        return [str(copy)] if VULNERABILITIES in variables and isinstance(copy, VulnerabilityCopyError) else []

    def unusable_copy(self) -> str | None:
        """Return why the copy cannot be used; None if it can be used. This reads all entries, which takes seconds."""
        copy = self.vulnerability_copy
        try:
            if isinstance(copy, VulnerabilityCopy):
                _ = copy.date
        except VulnerabilityCopyError as error:
            return str(error)
        return str(copy) if isinstance(copy, VulnerabilityCopyError) else None

    def digests(self, variables: Container[str]) -> dict[str, str]:
        """Return a digest of the facts of each variable. Records evaluated with other digests are outdated."""
        digests = {}
        if VULNERABILITIES in variables:
            copy = self.vulnerability_copy
            digests[VULNERABILITIES] = copy.digest if isinstance(copy, VulnerabilityCopy) else str(copy or "")
        if END_OF_LIFE in variables:
            digests[END_OF_LIFE] = self.end_of_life.digest
        return digests


def load_environment_facts(end_of_life: Path | None, vulnerability_copy: Path | None) -> EnvironmentFacts:
    """Return the facts from an operator's files. A copy of OSV that cannot be read is part of the result.

    Raises:
        EndOfLifeError: the file of ends of life cannot be read, or does not have the expected form.
    """
    days = load_end_of_life(end_of_life)
    if vulnerability_copy is None:
        return EnvironmentFacts(days)
    try:
        return EnvironmentFacts(days, open_copy(vulnerability_copy))
    except VulnerabilityCopyError as error:
        return EnvironmentFacts(days, error)
