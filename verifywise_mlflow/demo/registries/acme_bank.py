"""A bank, which uses MLflow's stages, governance tags in snake_case on versions, and commits on runs."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1

from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB

from verifywise_mlflow.demo.registries.bank_names import (
    COLLECTIONS_UPLIFT,
    CREDIT_SCORING,
    DOCUMENTED_VERSION_OWNER,
    FRAUD_DETECTION,
    LOAN_LOSS_FORECAST,
)
from verifywise_mlflow.demo.registries.data import card_payments, loan_applicants, loan_losses
from verifywise_mlflow.demo.registries.registry import UNPINNED, Registry, Start

_MODEL_CARD = """# Credit scoring

Intended use: a first assessment of consumer loans up to EUR 50,000. A clerk decides, and may differ from the score.
Not for: business loans, minors, and applicants who live outside of the country.
Training data: applications of 2025 with their outcome after twelve months. Rejected applicants have no outcome, so the
model knows nothing about them.
Evaluation: on held-out applications, as a whole and by age; see evaluation/report.md.
Known limits: applicants with less than a year of history are scored too low. The score was not tested in a recession.
Contact: credit-risk@acme.example
"""


def seed(registry: Registry) -> None:
    """Seed the bank's registry."""
    _credit_scoring(registry)
    _fraud_detection(registry)
    _loan_loss_forecast(registry)
    _collections_uplift(registry)


def _credit_scoring(registry: Registry) -> None:
    """Credit scoring is high risk by Annex III of the AI Act. The production version has all required evidence."""
    registry.create_model(CREDIT_SCORING, description="Probability that a consumer loan is not paid back")

    first = registry.train(
        CREDIT_SCORING, LogisticRegression(C=0.1), loan_applicants(2024), _start("credit", "a.lindqvist", "train.py")
    )
    registry.tag(first, owner="credit-risk@acme.example", risk_category="High", data_sensitivity="PII")
    registry.stage(first, "Archived")

    documented = registry.train(
        CREDIT_SCORING,
        LogisticRegression(C=1.0),
        loan_applicants(2025),
        _start("credit", "a.lindqvist", "train.py"),
        model_card=_MODEL_CARD,
        groups="age",
        report=True,
    )
    today = f"{datetime.now(UTC):%Y-%m-%d}"  # an approval does not count if it is dated before the version was made
    registry.tag(
        documented,
        owner=DOCUMENTED_VERSION_OWNER,
        business_purpose="First assessment of consumer loans",
        risk_category="High",
        regulatory_scope="EU AI Act Annex III, GDPR",
        data_sensitivity="PII",
        privacy_assessment=f"DPIA completed {today}",
        fria=f"completed {today}",
        human_oversight=f"completed {today}",
        approver=f"m.okafor (model risk), {today}",
        validator=f"v.osei (model validation), {today}",
        security_assessment=f"SEC-2026-014, {today}",
        monitoring_evidence=f"drift report {today}",
        deployment_status="deployed",
        validation_report="MRM-2026-031",
    )
    registry.stage(documented, "Production")

    candidate = registry.train(
        CREDIT_SCORING,
        GaussianNB(),
        loan_applicants(2026),
        _start("credit", "b.haas", "train_bayes.py"),
    )
    registry.tag(candidate, owner="credit-risk@acme.example", risk_category="High", data_sensitivity="PII")
    registry.stage(candidate, "Staging")


def _fraud_detection(registry: Registry) -> None:
    """Personal data in production without a privacy assessment, then a version with unpinned requirements."""
    registry.create_model(FRAUD_DETECTION, description="Card payments to hold back")
    unassessed = registry.train(
        FRAUD_DETECTION,
        LogisticRegression(max_iter=200),
        card_payments(2025),
        _start("fraud", "c.moreau", "pipelines/fraud.py"),
    )
    registry.tag(unassessed, owner="payments-ml", risk_category="Limited", data_sensitivity="PII")
    registry.stage(unassessed, "Production")

    unpinned = registry.train(
        FRAUD_DETECTION,
        GaussianNB(),
        card_payments(2026),
        _start("fraud", "c.moreau", "notebooks/try.ipynb"),
        requirements=UNPINNED,
    )
    registry.tag(unpinned, owner="payments-ml", risk_category="Limited", data_sensitivity="PII")
    registry.stage(unpinned, "Staging")


def _loan_loss_forecast(registry: Registry) -> None:
    """A version in production with a metric that is not a number."""
    registry.create_model(LOAN_LOSS_FORECAST, description="Expected losses of the next quarter")
    unmeasured = registry.train(
        LOAN_LOSS_FORECAST,
        LinearRegression(),
        loan_losses(),
        _start("losses", "d.silva", "losses.py"),
        measured=False,
    )
    registry.tag(unmeasured, owner="treasury-analytics", risk_category="Minimal", data_sensitivity="none")
    registry.stage(unmeasured, "Production")


def _collections_uplift(registry: Registry) -> None:
    """A version that was registered from a notebook: no run, no tags, no owner."""
    registry.create_model(COLLECTIONS_UPLIFT)
    registry.register_without_run(COLLECTIONS_UPLIFT, LogisticRegression(), loan_applicants(2023))


def _start(experiment: str, user: str, script: str) -> Start:
    """Return the tags with which the bank's pipelines start a run: user, script, commit."""
    commit = sha1(f"{experiment}/{script}".encode(), usedforsecurity=False).hexdigest()
    return Start(
        experiment,
        {
            "mlflow.user": user,
            "mlflow.source.name": script,
            "mlflow.source.git.commit": commit,
            "mlflow.source.git.branch": "main",
        },
    )
