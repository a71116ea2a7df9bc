"""A hospital group, which uses aliases instead of stages. Its tags on models and runs are written inconsistently."""

from __future__ import annotations

from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB

from verifywise_mlflow.demo.registries.data import disease_progressions, hospital_stays, tumors
from verifywise_mlflow.demo.registries.registry import Registry, Start

TENANT = "globex-health"

READMISSION_RISK = "readmissionRisk"
TUMOUR_TRIAGE = "tumour-triage"
SEPSIS_WARNING = """O'Neil's "Sepsis" Frühwarnung 1.0"""
BED_OCCUPANCY = "Bed Occupancy"
LETTER_WRITER = "letter-writer"
LETTER = "discharge-letter"


def seed(registry: Registry) -> None:
    """Seed the hospitals' registry."""
    _readmission_risk(registry)
    _tumour_triage(registry)
    _sepsis_warning(registry)
    _bed_occupancy(registry)
    _letter_writer(registry)


def _readmission_risk(registry: Registry) -> None:
    """The model's tags apply to all its versions; the champion's assessment is not done yet."""
    registry.create_model(
        READMISSION_RISK,
        description="Who is likely to be back within thirty days",
        tags={"Model-Owner": "clinical-ai@globex.example", "riskLevel": "High", "dataClassification": "PHI"},
    )
    for year, alias, assessment in (
        (2024, None, "DPIA approved"),
        (2025, "champion", "in progress"),
        (2026, "challenger", "not started"),
    ):
        registered = registry.train(
            READMISSION_RISK,
            LogisticRegression(max_iter=300),
            hospital_stays(year),
            Start(
                "Readmission",
                {"mlflow.user": "s.virtanen", "privacyAssessment": assessment, "trainingData": "warehouse.stays"},
            ),
        )
        if alias:
            registry.alias(registered, alias)


def _tumour_triage(registry: Registry) -> None:
    """A champion whose run was deleted in a clean-up. No owner is named."""
    registry.create_model(TUMOUR_TRIAGE, tags={"contains-pii": "true", "riskLevel": "High risk (Annex III)"})
    registered = registry.train(
        TUMOUR_TRIAGE,
        GaussianNB(),
        tumors(),
        Start("Imaging", {"mlflow.user": "intern-2024", "dpia": "completed"}),
    )
    registry.alias(registered, "champion")
    registry.delete_run(registered)


def _sepsis_warning(registry: Registry) -> None:
    """A name with unusual characters. The training run names an approver, which does not count for the version."""
    registry.create_model(
        SEPSIS_WARNING,
        description="Warns of sepsis six hours ahead",
        tags={"Model-Owner": "icu-analytics@globex.example", "riskLevel": "High", "dataClassification": "Health data"},
    )
    registered = registry.train(
        SEPSIS_WARNING,
        LogisticRegression(C=0.5, max_iter=300),
        hospital_stays(2023),
        Start("ICU", {"mlflow.user": "p.oneil", "dpiaStatus": "approved", "approved-by": "ethics board"}),
        model_card="# Sepsis warning\n\nIntended use: intensive care, adults. A physician decides.\n",
    )
    registry.alias(registered, "live")


def _bed_occupancy(registry: Registry) -> None:
    """No personal data and no high risk: few rules apply. The next version was bought without any documents."""
    registry.create_model(BED_OCCUPANCY, description="Beds in use tomorrow")
    registered = registry.train(
        BED_OCCUPANCY,
        LinearRegression(),
        disease_progressions(),
        Start(
            "Operations",
            {"mlflow.user": "ops-batch", "team": "operations", "Risk-Level": "minimal", "dataClass": "anonymised"},
        ),
    )
    registry.alias(registered, "champion")
    bought = registry.register_elsewhere(BED_OCCUPANCY, "s3://vendor-models/bed-occupancy/2.1")
    registry.alias(bought, "challenger")


def _letter_writer(registry: Registry) -> None:
    """An agent that writes letters to patients with the second version of a prompt. Nobody has evaluated it."""
    registry.register_prompt(
        LETTER,
        "Write a discharge letter for {{patient}} about {{diagnosis}}.",
        "Write a discharge letter for {{patient}} about {{diagnosis}} in plain words, to be checked by a physician.",
    )
    registry.create_model(LETTER_WRITER, description="Drafts discharge letters", tags={"dataClassification": "PHI"})
    registered = registry.register_agent(
        LETTER_WRITER,
        LETTER,
        experiment="Letters",
        params={"llm": "mistral-large-2411", "temperature": "0.1"},
        tags={"team": "clinical-ai"},
    )
    registry.alias(registered, "challenger")
