"""Finds the limits of a tenant that a waiver exceeds, and states what to correct."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.common.waiver_limits import WaiverLimits
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex
from verifywise_mlflow.normalizer.origin import ValueState

_FEWEST_DISTINCT_CHARACTERS: Final = 5
"""The minimum number of distinct characters in a reason. Every sentence has more; a key that was held down has one."""
_FEWEST_DISTINCT_WORDS: Final = 3
"""The minimum number of distinct words in a reason of several words. Some languages write sentences without spaces."""


def limit_violations(waiver: Waiver, limits: WaiverLimits, index: MappingIndex, today: date) -> list[str]:
    """Return one sentence for each limit that a waiver exceeds: the field, what was found, and what to do.

    The term counts from today, even for a waiver that is already in force. So the result does not depend on when the
    waiver was granted, and a shorter ``max_days`` also applies to waivers in force.

    Args:
        waiver: the waiver.
        limits: the tenant's limits.
        index: the tenant's mapping, which lists the texts without a meaning, such as ``TBD``.
        today: the current day, UTC.
    """
    return [
        *_model_violations(waiver, limits),
        *_approver_violations(waiver, limits, index),
        *_reason_violations(waiver, limits, index),
        *_term_violations(waiver, limits, today),
    ]


def _model_violations(waiver: Waiver, limits: WaiverLimits) -> Iterator[str]:
    if waiver.is_pattern and not limits.allow_patterns:
        yield (
            f"model: {quote(waiver.model)} is a pattern, and would waive gaps of models that nobody has examined: name "
            "one model, or set compliance.waiver_limits.allow_patterns"
        )


def _approver_violations(waiver: Waiver, limits: WaiverLimits, index: MappingIndex) -> Iterator[str]:
    if (state := index.value_state("compliance_approver", waiver.approver)) is not None:
        yield f"approver: {quote(waiver.approver)} names no person ({state}): write who accepts the gap"
    elif limits.approvers is None:
        return
    elif not limits.approvers:
        yield "approver: nobody may accept a gap of this tenant: compliance.waiver_limits.approvers is empty"
    elif _folded(waiver.approver) not in map(_folded, limits.approvers):
        yield (
            f"approver: {quote(waiver.approver)} may not accept gaps of this tenant: name one of "
            f"{', '.join(map(quote, limits.approvers))}, as compliance.waiver_limits.approvers lists them"
        )


def _reason_violations(waiver: Waiver, limits: WaiverLimits, index: MappingIndex) -> Iterator[str]:
    # A reason may state that something was not done or has failed, so other states are not violations.
    is_placeholder = index.value_state("business_purpose", waiver.reason) is ValueState.PLACEHOLDER
    folded = _folded(waiver.reason)
    if is_placeholder or _is_filler(folded):
        yield f"reason: {quote(waiver.reason)} says nothing: write why the gap is acceptable for this time"
    elif len(folded) < limits.min_reason_characters:
        yield (
            f"reason: {quote(waiver.reason)} has {len(folded)} characters, and the tenant's waivers need at least "
            f"{limits.min_reason_characters}: write why the gap is acceptable for this time"
        )


def _is_filler(text: str) -> bool:
    """Return whether a text repeats a few characters or words, or has no letter."""
    words = text.split()
    return (
        not any(map(str.isalpha, text))
        or len(set(text)) < min(_FEWEST_DISTINCT_CHARACTERS, len(text))
        or len(set(words)) < min(_FEWEST_DISTINCT_WORDS, len(words))
    )


def _term_violations(waiver: Waiver, limits: WaiverLimits, today: date) -> Iterator[str]:
    if (days := (waiver.expires - today).days) > limits.max_days:
        latest = today + timedelta(days=limits.max_days)
        yield (
            f"expires: {waiver.expires.isoformat()} is in {days:,} days, and the tenant's waivers end within "
            f"{limits.max_days:,}: write {latest.isoformat()} or an earlier day"
        )


def _folded(text: str) -> str:
    """Return a text without differences of case and of spaces. Names are compared in this form."""
    return " ".join(text.casefold().split())
