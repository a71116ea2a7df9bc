"""A policy file of one rule, as text."""

from __future__ import annotations

from pathlib import Path

from verifywise_mlflow.compliance.rules.policy import Policy, load_policy

HEAD = """\
id: ours
version: 1
title: Our requirements
rules:
"""

RULE = """\
  - id: owner
    version: 1
    title: Every model has an owner
    severity: high
    rationale: Someone has to answer for it.
    remedy: Tag it.
    requires: owner != ""
    references:
      - {framework: NIST AI RMF, clause: GOVERN 2.1, confidence: high}
    examples:
      - record: {owner: risk-team}
        verdict: pass
"""


def load(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "ours.yaml"
    path.write_text(text, encoding="utf-8")
    return load_policy(path)
