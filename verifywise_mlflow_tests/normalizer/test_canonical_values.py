from __future__ import annotations

import pytest

from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping


def form(field: str, value: str) -> str | None:
    return mapping_index(default_mapping()).normal_form(field, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[
            (value, "high")
            for value in ("High-Risk", "HIGH", "high risk", "highRisk", " high ", "High (Annex III)", '"high"')
        ],
        ("Risk level: low", "low"),
        ("unacceptable risk", "prohibited"),
        ("Limited risk", "limited"),
        ("moderate", "medium"),
        ("minimal or no risk", "minimal"),
        *[
            (value, None)
            for value in ("not high", "not high risk", "highly relevant", "high or low", "tier-1", "none", "risk", "?")
        ],
    ],
)
def test_risk_category(value: str, expected: str | None) -> None:
    assert form("risk_category", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(value, "personal") for value in ("Personal Data", "PII", "contains PII", "pseudonymised")],
        *[(value, "special_category") for value in ("special-category", "Health data", "GDPR Art. 9", "PHI")],
        *[
            (value, "none")
            for value in ("non-personal", "no pii", "Contains no PII", "no personal data", "anonymised", "PII-free")
        ],
        *[
            (value, None)
            for value in (
                "Strictly Confidential",
                "internal use only",
                "Public",
                "restricted",
                "high",
                "sensitive",
                "no",
            )
        ],
        ("not anonymised", None),
    ],
)
def test_data_sensitivity(value: str, expected: str | None) -> None:
    assert form("data_sensitivity", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Strictly Confidential", "restricted"),
        ("Confidential data", "confidential"),
        ("internal use only", "internal"),
        ("Public", "public"),
        *[(value, None) for value in ("not public", "not confidential", "high", "PII", "none", "no")],
    ],
)
def test_confidentiality(value: str, expected: str | None) -> None:
    assert form("confidentiality", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[
            (value, "completed")
            for value in (
                *(
                    "DPIA done 2026-03-01",
                    "completed (2026-03-01T10:00:00Z)",
                    "Done on 1 March 2026",
                    "approved Q1 2026",
                ),
                *("COMPLETE", "yes", "signed-off 01/03/2026", "passed March 2026", "Completed: March 1st, 2026"),
            )
        ],
        *[(value, "not_done") for value in ("not done", "Not Started", "no", "no DPIA", "to do", "undone")],
        *[
            (value, "in_progress")
            for value in ("in progress", "incomplete", "not completed", "pending", "under review")
        ],
        *[
            (value, "not_required")
            for value in ("n/a", "not required", "DPIA not required", "no DPIA required", "exempt")
        ],
        *[(value, "expired") for value in ("expired", "DPIA expired 2025-01-01", "out of date")],
        *[
            (value, None)
            for value in ("not approved", "to be completed by 2026-12-31", "required", "2026-03-01", "DPIA-2026-14")
        ],
        *[(value, None) for value in ("completed, then revoked", "x" * 100_000)],
    ],
)
def test_privacy_assessment_status(value: str, expected: str | None) -> None:
    assert form("privacy_assessment_status", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Prod", "production"),
        ("in production", "production"),
        ("production environment", "production"),
        ("pre-prod", "staging"),
        ("dev", "development"),
        ("Retired", "archived"),
        ("not production", None),
        ("non-prod", None),
    ],
)
def test_lifecycle_stage(value: str, expected: str | None) -> None:
    assert form("lifecycle_stage", value) == expected
