"""Redaction of MLflow's objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    ModelSignature,
    Requirement,
    RuntimeEnvironment,
)
from verifywise_mlflow.artifacts.version_origin import parse_logged_model_id
from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.models import (
    AssessmentCounts,
    DatasetInput,
    EvaluationDataset,
    Experiment,
    LoggedModel,
    ModelAssessments,
    ModelVersion,
    Prompt,
    PromptVersion,
    Redaction,
    RegisteredModel,
    RemoteFile,
    TrainingRun,
)
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.exempt_fields import EXEMPT_FIELDS, FIELD_NAMES
from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow_tests.redaction.fake_secrets import HEX, random_text

TOKEN = "dap" + "i" + random_text(32, HEX)
SECRET = "[redacted: databricks api token]"
MODEL_ID = "m-" + "8c1d3a5e" * 4

DEFAULT_REDACTOR = EntityRedactor(RedactionSettings())


def redactor_with(**settings: object) -> EntityRedactor:
    return EntityRedactor(RedactionSettings.model_validate(settings))


def test_a_redaction_records_the_kind_and_place_of_a_secret_in_each_object() -> None:
    pairs = {"k": f"a {TOKEN}"}
    redaction = Redaction("tag", "k", "secret", "databricks api token")

    model = DEFAULT_REDACTOR.redact(RegisteredModel("m", tags=pairs))
    version = DEFAULT_REDACTOR.redact(ModelVersion("m", 1, tags=pairs))
    run = DEFAULT_REDACTOR.redact(TrainingRun("r", tags=pairs))
    logged = DEFAULT_REDACTOR.redact(LoggedModel(MODEL_ID, tags=pairs))

    for redacted in (model, version, run, logged):
        assert dict(redacted.tags) == {"k": f"a {SECRET}"}
        assert redacted.redactions == (redaction,)


KINDS = (
    *(RegisteredModel, ModelVersion, TrainingRun, LoggedModel, Experiment, DatasetInput, RemoteFile, ServerInfo),
    *(Prompt, PromptVersion, EvaluationDataset, ModelAssessments, AssessmentCounts),
    *(ArtifactManifest, ArtifactFile, RuntimeEnvironment, Requirement, ModelSignature),
)
"""All classes of objects that a reader returns or that are read from artifacts."""


def full_of_tokens(kind: type) -> tuple[object, set[str]]:
    """Return an object with the token in each of its text fields, and the names of these fields."""
    values: dict[str, object] = {}
    text_fields = set()
    for name, hint in get_type_hints(kind).items():
        values[name] = filled = _value_with_token(hint)
        if TOKEN in repr(filled):
            text_fields.add(name)
    return kind(**values), text_fields


def _value_with_token(hint: Any) -> object:
    if hint is str or (str in get_args(hint) and get_origin(hint) in (Union, UnionType)):
        return f"x {TOKEN}"
    if get_origin(hint) is Literal or (get_origin(hint) is tuple and get_origin(get_args(hint)[0]) is Literal):
        return f"x {TOKEN}"  # the type is a promise, not a check
    if get_origin(hint) is tuple and get_args(hint)[0] is str:
        return (f"x {TOKEN}",)
    if get_origin(hint) in (Union, UnionType) and tuple[str, ...] in get_args(hint):
        return (f"x {TOKEN}",)
    if get_origin(hint) is Mapping:
        return {TOKEN: 1.0 if float in get_args(hint) else 1 if int in get_args(hint) else TOKEN}
    if hint is Problems:
        return Problems(f"x {TOKEN}")
    return () if get_origin(hint) is tuple else None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_text_field_that_is_not_exempt_is_redacted(kind: type) -> None:
    entity, text_fields = full_of_tokens(kind)

    redacted = DEFAULT_REDACTOR.redact(entity)  # type: ignore[type-var]  # KINDS are dataclasses

    unredacted = {name for name in text_fields if TOKEN in _shown(getattr(redacted, name))}
    assert text_fields
    assert unredacted == {name for name in text_fields if f"{kind.__name__}.{name}" in EXEMPT_FIELDS}


def _shown(value: object) -> str:
    return " ".join(value) if isinstance(value, Problems) else repr(value)


def test_an_object_within_another_is_redacted_as_well() -> None:
    requirement = Requirement("pkg", f"@ https://conda.acme.example/t/tk-{TOKEN}/x", "conda.yaml", pinned=False)
    environment = RuntimeEnvironment("3.11", (requirement,), ("conda.yaml",), None, {}, None, False, ())
    manifest = ArtifactManifest("s3://b", "complete", None, (), environment, None)

    redacted = DEFAULT_REDACTOR.redact(manifest)

    assert redacted.environment
    assert TOKEN not in repr(redacted)
    assert redacted.environment.packages[0].name == "pkg"


def test_every_exemption_and_every_name_is_that_of_a_field() -> None:
    known = {f"{kind.__name__}.{item.name}" for kind in KINDS for item in fields(kind)}

    assert {*EXEMPT_FIELDS, *FIELD_NAMES} <= known


def test_only_the_secret_in_a_source_is_redacted_so_that_its_location_stays_valid() -> None:
    source = f"s3://key:{TOKEN}@bucket/1/models/{MODEL_ID}/artifacts"

    version = DEFAULT_REDACTOR.redact(ModelVersion("m", 1, source=source))

    assert version.source == f"s3://key:[redacted: password]@bucket/1/models/{MODEL_ID}/artifacts"
    assert parse_logged_model_id(version.source) == MODEL_ID
    assert version.redactions == (Redaction("source", None, "secret", "password"),)


def test_keys_that_are_tokens_are_redacted_and_stay_distinct() -> None:
    other = "dap" + "i" + random_text(32, HEX)

    run = DEFAULT_REDACTOR.redact(TrainingRun("r", tags={TOKEN: "a", other: "b"}, metrics={TOKEN: 1.0}))

    assert dict(run.tags) == {SECRET: "a", f"{SECRET} 2": "b"}
    assert dict(run.metrics) == {SECRET: 1.0}
    assert {redaction.place for redaction in run.redactions} == {"tag", "metric"}


def test_of_denied_keys_only_the_number_is_recorded() -> None:
    settings = redactor_with(
        tags={"allow": ["owner", "risk*"], "deny": ["*_draft", "mlflow.user"]},
        params={"deny": ["customer_*"]},
        metrics={"allow": ["accuracy"]},
    )
    run = TrainingRun(
        "r",
        tags={"Owner": "a", "risk_tier": "b", "risk_draft": "c", "team": "d", "mlflow.user": "e", "mlflow.note": "f"},
        params={"lr": "0.1", "customer_name": "Anna"},
        metrics={"Accuracy": 0.9, "churn_of_anna": 1.0},
    )

    redacted = settings.redact(run)

    assert set(redacted.tags) == {"Owner", "risk_tier", "mlflow.note"}
    assert dict(redacted.params) == {"lr": "0.1"}
    assert dict(redacted.metrics) == {"Accuracy": 0.9}
    assert redacted.redactions == (
        Redaction("metric", None, "not kept", "denied", 1),
        Redaction("param", None, "not kept", "denied", 1),
        Redaction("tag", None, "not kept", "denied", 3),
    )


def test_a_secret_under_an_allowed_key_is_not_redacted() -> None:
    run = TrainingRun("r", params={"demo_password": "hunter" + "2", "password": "hunter" + "2"})

    redacted = redactor_with(secrets={"allow": ["demo_*"]}).redact(run)

    assert dict(redacted.params) == {"demo_password": "hunter" + "2", "password": "[redacted: password]"}


def test_secrets_stay_if_the_tenant_disables_their_redaction() -> None:
    run = TrainingRun("r", tags={"note": TOKEN})

    assert redactor_with(secrets={"redact": False}).redact(run) is run


def test_personal_data_is_redacted_only_if_the_tenant_enables_it() -> None:
    version = ModelVersion(
        "m", 1, description="Ask anna@acme.example or +49 170 1234567", tags={"owner": "anna@acme.example"}
    )

    assert DEFAULT_REDACTOR.redact(version) is version

    redacted = redactor_with(personal_data={"redact": ["email", "phone"], "keep_in": ["owner"]}).redact(version)
    assert redacted.description == "Ask [redacted: email] or [redacted: phone]"
    assert dict(redacted.tags) == {"owner": "anna@acme.example"}
    assert [redaction.what for redaction in redacted.redactions] == ["personal data"] * 2


@pytest.mark.parametrize(
    ("kind", "text", "redacted_text"),
    [
        ("email", "to anna.b+x@mail.acme.example!", "to [redacted: email]!"),
        ("email", "git@github is no address", "git@github is no address"),
        ("phone", "call +49 (0)30 1234-567 now", "call [redacted: phone] now"),
        ("phone", "12345678 rows, +12 %", "12345678 rows, +12 %"),
        ("iban", "pay DE89 3704 0044 0532 0130 00 today", "pay [redacted: iban] today"),
        ("iban", "DE89370400440532013000", "[redacted: iban]"),
        ("iban", "AB12 ABCD EFGH IJKL", "AB12 ABCD EFGH IJKL"),
        ("card", "4111 1111 1111 1111", "[redacted: card]"),
        ("card", "4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("ip_address", "from 10.0.0.5:5000", "from [redacted: ip address]:5000"),
        ("ip_address", "mlflow 3.17.2 and 1.2.3.4.5", "mlflow 3.17.2 and 1.2.3.4.5"),
    ],
)
def test_a_kind_of_personal_data_is_recognized_by_its_format(kind: str, text: str, redacted_text: str) -> None:
    redacted = redactor_with(personal_data={"redact": [kind]}).redact(ModelVersion("m", 1, description=text))

    assert redacted.description == redacted_text


def test_a_tenants_own_pattern_is_redacted_under_its_name() -> None:
    settings = redactor_with(personal_data={"patterns": {"employee_id": "E[0-9]{6}"}})

    run = settings.redact(TrainingRun("r", params={"by": "é \ud800 E123456, E654321", "n": "123456"}))

    assert dict(run.params) == {"by": "é \ud800 [redacted: employee id], [redacted: employee id]", "n": "123456"}
    assert run.redactions == (Redaction("param", "by", "personal data", "employee id", 2),)


def test_an_object_with_nothing_to_redact_is_returned_unchanged() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    model = RegisteredModel("m", "about", {"a": "b"}, {"champion": 1}, now, now)
    logged = LoggedModel(MODEL_ID, params={"a": "b"}, metrics={"f1": 0.5})
    experiment = Experiment("1", "churn", "s3://bucket/1")

    assert DEFAULT_REDACTOR.redact(model) is model
    assert DEFAULT_REDACTOR.redact(logged) is logged
    assert DEFAULT_REDACTOR.redact(experiment) is experiment
