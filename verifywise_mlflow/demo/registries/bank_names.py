"""The names of the bank's models, without the seconds that the import of MLflow and scikit-learn takes."""

from __future__ import annotations

TENANT = "acme-bank"

CREDIT_SCORING = "credit-scoring"
DOCUMENTED_VERSION = 2
"""The version of credit scoring that has all evidence."""
DOCUMENTED_VERSION_OWNER = "credit-risk@acme.example"
FRAUD_DETECTION = "fraud-detection"
LOAN_LOSS_FORECAST = "loan-loss-forecast"
COLLECTIONS_UPLIFT = "collections-uplift"
