"""The releases that were measured, and objects to send."""

from __future__ import annotations

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect

A1, A2, B = Dialect
EVERY, A, NOT_A2 = (A1, A2, B), (A1, A2), (A1, B)
LONG = "x" * 256
RISK = {"risk_category": "Compliance", "risk_level": "High", "owner": None, "target_date": "2027-01-31"}
EVIDENCE = {"evidence_name": "e", "evidence_type": "Model Card", "description": ""}
