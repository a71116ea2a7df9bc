"""A policy of 25 rules about all groups of the record's fields, for the benchmark.

The rules resemble rules that people write: most have the same scope, some examine lists, and one depends on the day.
"""

from __future__ import annotations

from verifywise_mlflow.compliance.rules.policy import Policy, Reference, Rule, Severity

_IN_USE = 'lifecycle_stage in ["production", "staging"]'
_IN_PRODUCTION = 'lifecycle_stage == "production"'
_HIGH = 'risk_category in ["high", "prohibited"]'

_RULES: tuple[tuple[str, str, str, str], ...] = (
    ("owner", "true", "true", 'owner != ""'),
    ("purpose", "true", "true", 'business_purpose != ""'),
    ("description", "true", "true", 'description != ""'),
    ("risk", _IN_USE, "true", 'risk_category in ["prohibited", "high", "limited", "minimal"]'),
    ("scope", _IN_USE, "true", 'regulatory_scope != ""'),
    ("sensitivity", _IN_USE, "true", "has(stated.data_sensitivity)"),
    (
        "privacy",
        f'{_IN_PRODUCTION} && data_sensitivity in ["personal", "special_category"]',
        'privacy_assessment_status != "not_required"',
        'privacy_assessment_status == "completed"',
    ),
    ("approver", _IN_PRODUCTION, "true", 'compliance_approver != ""'),
    ("security", _IN_PRODUCTION, "true", 'security_assessment_version != ""'),
    ("dataset", "true", "true", 'dataset_reference.all(d, d.digest != "")'),
    ("commit", "true", "true", 'code_commit.matches("^[0-9a-f]{7,40}$")'),
    ("entrypoint", "true", "true", 'training_entrypoint != ""'),
    ("subgroups", _HIGH, "size(metrics) > 0", 'metrics.exists(name, name.contains("subgroup"))'),
    ("evaluation", _HIGH, "true", "size(evaluation_tags) > 0 || size(evidence_files) > 0"),
    (
        "stale",
        _IN_PRODUCTION,
        "true",
        "double((today - training_ended_at).getHours()) / 24.0 < thresholds.most_days",
    ),
    ("deleted-run", "true", "size(incomplete) == 0", 'size(findings_of_kind["deleted run"]) == 0'),
    ("hashed", _IN_USE, "true", "artifact_manifest.hashed_count == artifact_manifest.file_count"),
    ("tampered", "true", "artifact_manifest.hashed_count > 0", "artifact_manifest.changed_in_place_count == 0"),
    ("pickle", _IN_USE, "true", 'runtime_environment.serialization_format != "pickle"'),
    ("pinned", _IN_USE, "true", "runtime_environment.reproducible"),
    ("dangling", "true", "size(incomplete) == 0", 'size(findings_of_kind["dangling alias"]) == 0'),
    ("hidden", "true", "size(incomplete) == 0", 'size(findings_of_kind["hidden from search"]) == 0'),
    ("secrets", "true", "size(incomplete) == 0", 'size(findings_of_kind["secret redacted"]) == 0'),
    ("conflict", "true", "true", '!findings_about.risk_category.exists(f, f.kind == "conflict")'),
    ("complete", "true", "true", "size(incomplete) == 0"),
)


def policy(*, version: int = 1, changed: int = 0) -> Policy:
    """Return the policy. ``changed`` rules have another version and a requirement that no record meets."""
    rules = tuple(
        Rule(
            id=name,
            version=version if number < changed else 1,
            title=f"The rule {name}",
            severity=Severity.MEDIUM,
            rationale="It is measured.",
            remedy="None.",
            applies=applies,
            evidenced=evidenced,
            requires=f'({requires}) && model_name != "version {version}"' if number < changed else requires,
            references=(Reference(framework="NIST AI RMF", clause="GOVERN 1.1", confidence="low"),),
        )
        for number, (name, applies, evidenced, requires) in enumerate(_RULES)
    )
    return Policy(id="benchmark", version=version, title="Measured", thresholds={"most_days": 365}, rules=rules)
