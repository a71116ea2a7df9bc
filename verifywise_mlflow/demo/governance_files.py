"""Files in which people of the demo's tenants state facts beyond the registries: an accepted gap, an AI system."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import yaml

from verifywise_mlflow.demo.registries import bank_names
from verifywise_mlflow.demo.workdir import Workdir


def write_governance_files(home: Workdir) -> None:
    """Write waivers.yaml and ai_systems.yaml. An existing file stays, since somebody may have edited it."""
    today = datetime.now(UTC).date()
    for path, document in (
        (home.waivers_file, {"waivers": [_waiver(today)]}),
        (home.ai_systems_file, {"ai_systems": [_credit_scoring(today)]}),
    ):
        if not path.exists():
            _write(path, document)


def _waiver(today: date) -> Mapping[str, object]:
    return {
        "tenant": bank_names.TENANT,
        "rule": "dataset-reference",
        "model": bank_names.COLLECTIONS_UPLIFT,
        "approver": "m.okafor (model risk)",
        "reason": "The vendor owns the training data; the model retires at the end of the quarter.",
        "expires": today + timedelta(days=30),
    }


def _credit_scoring(today: date) -> Mapping[str, object]:
    """Return a declared system whose second model has another risk category in MLflow, so that both are shown."""
    return {
        "tenant": bank_names.TENANT,
        "name": "Consumer lending",
        "models": [bank_names.CREDIT_SCORING, bank_names.LOAN_LOSS_FORECAST],
        "purpose": "First assessment of consumer loans up to EUR 50,000. A clerk decides.",
        "risk": {
            "category": "high",
            "basis": "Annex III, point 5(b): creditworthiness of natural persons",
            "decided_by": "AI governance committee",
            "decided_on": today - timedelta(days=90),
        },
        "roles": ["provider", "deployer"],
        "provider": "Acme Bank",
        "owner": "credit-risk@acme.example",
        "affected_persons": "Natural persons who apply for a consumer loan.",
        "last_review": today - timedelta(days=90),
        "next_review": today + timedelta(days=90),
        "documents": [
            {
                "title": "Risk management file",
                "location": "https://documents.acme.example/ai/consumer-lending/risk",
                "version": "3",
                "covers": [{"framework": "EU AI Act", "clauses": ["Annex IV(5)"]}],
            }
        ],
        "declared_by": "m.okafor (model risk)",
        "declared_on": today - timedelta(days=90),
    }


def _write(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=100))
