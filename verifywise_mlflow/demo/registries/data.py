"""Small data sets: generated from fixed seeds, or shipped with scikit-learn. Nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, make_classification, make_regression


@dataclass(frozen=True, slots=True)
class Data:
    """A training data set."""

    name: str
    features: pd.DataFrame
    target: pd.Series
    """The values to predict: 0 and 1, or a quantity."""


def loan_applicants(year: int) -> Data:
    """Return generated applicants of a year, and whether each defaulted."""
    columns = ["income", "age", "debt_ratio", "late_payments", "years_at_bank", "open_credits"]
    return _generated(f"loan_applicants_{year}", columns, seed=year)


def card_payments(year: int) -> Data:
    """Return generated card payments, and whether each was fraud."""
    columns = ["amount", "hour", "distance_from_home", "payments_last_day", "merchant_risk"]
    return _generated(f"card_payments_{year}", columns, seed=year)


def hospital_stays(year: int) -> Data:
    """Return generated hospital stays, and whether the patient was readmitted within thirty days."""
    columns = ["age", "days", "diagnoses", "medications", "emergency_visits", "hba1c"]
    return _generated(f"hospital_stays_{year}", columns, seed=year)


def loan_losses() -> Data:
    """Return generated portfolios and their losses."""
    features, target = make_regression(n_samples=200, n_features=4, noise=5.0, random_state=7)
    columns = ["exposure", "unemployment", "interest_rate", "default_rate"]
    return Data("loan_losses", pd.DataFrame(features, columns=columns), pd.Series(target))


def tumors() -> Data:
    """Return the Wisconsin breast cancer data."""
    features, target = load_breast_cancer(return_X_y=True, as_frame=True)
    return Data("breast_cancer_wisconsin", features, target)


def disease_progressions() -> Data:
    """Return the diabetes data of Efron and others, which the demo uses as data about the occupancy of beds."""
    features, target = load_diabetes(return_X_y=True, as_frame=True)
    return Data("ward_occupancy", features, target)


def _generated(name: str, columns: list[str], *, seed: int) -> Data:
    features, target = make_classification(
        n_samples=400, n_features=len(columns), n_informative=4, n_redundant=1, random_state=seed
    )
    return Data(name, pd.DataFrame(features, columns=columns), pd.Series(target))
