"""The templates of the report. They use the Jinja environment of all documents, which escapes every text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from shlex import quote
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.compliance.badge import VERSION_RULE, Badge
from verifywise_mlflow.compliance.coverage import VersionEvidence
from verifywise_mlflow.compliance.score import SCORE_RULE
from verifywise_mlflow.documents.blocks import show_day, show_time
from verifywise_mlflow.documents.html.rendering import environment as document_environment
from verifywise_mlflow.documents.report.gap_figures import SEVERITIES
from verifywise_mlflow.documents.report.site_paths import SCRIPT, START, STYLES, THEME_SCRIPT, file_name

TITLE: Final = "Model governance report"
_MAX_BRIEF: Final = 300
"""The maximum length, in characters, of a tenant's text in a cell."""


@cache
def environment() -> Environment:
    """Return the environment of the report's templates, which may use the templates of all documents."""
    of_documents = document_environment()
    assert of_documents.loader is not None  # the environment has templates
    environment = of_documents.overlay(
        loader=ChoiceLoader([PackageLoader("verifywise_mlflow.documents.report"), of_documents.loader])
    )
    # An overlay shares these mappings with its original, so they are copied.
    environment.filters = {
        **of_documents.filters,
        "brief": lambda text: excerpt(text, _MAX_BRIEF),
        "day": _day,
        "file_name": file_name,
        "minute": show_time,
        "counted": lambda number, noun: f"{number:,} {noun}{'' if number == 1 else 's'}",
        "number": lambda number: f"{number:,}",
        "numbered_versions": _numbered_versions,
        "of_evidence": _of_evidence,
        "shell": lambda text: quote(excerpt(text, _MAX_BRIEF)),
        "percent": lambda score: "–" if score is None else f"{score:g}\N{NO-BREAK SPACE}%",
    }
    environment.globals = {
        **of_documents.globals,
        "badge_rule": VERSION_RULE,
        "badge_words": [badge.value for badge in Badge],
        "score_rule": SCORE_RULE,
        "severities": SEVERITIES,
        "site": {
            "title": TITLE,
            "styles": STYLES,
            "script": SCRIPT,
            "theme_script": THEME_SCRIPT,
            "start": START,
        },
    }
    return environment


def _day(time: datetime | date) -> str:
    return show_day(time)


def _numbered_versions(numbers: Sequence[int]) -> str:
    first = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"version{'s' if len(numbers) > 1 else ''} {first}{more}"


def _of_evidence(counts: Mapping[VersionEvidence, int], word: str) -> int:
    return counts.get(VersionEvidence(word), 0)
