"""Redaction of MLflow's objects."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.artifacts.version_origin import parse_logged_model_id
from verifywise_mlflow.connector.models import (
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelVersion,
    Redaction,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
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

    model = DEFAULT_REDACTOR.registered_model(RegisteredModel("m", tags=pairs))
    version = DEFAULT_REDACTOR.model_version(ModelVersion("m", 1, tags=pairs))
    run = DEFAULT_REDACTOR.training_run(TrainingRun("r", tags=pairs))
    logged = DEFAULT_REDACTOR.logged_model(LoggedModel(MODEL_ID, tags=pairs))

    for redacted in (model, version, run, logged):
        assert dict(redacted.tags) == {"k": f"a {SECRET}"}
        assert redacted.redactions == (redaction,)


@pytest.mark.parametrize(
    ("redact", "entity"),
    [
        (DEFAULT_REDACTOR.registered_model, RegisteredModel("name")),
        (DEFAULT_REDACTOR.model_version, ModelVersion("name", 1)),
        (DEFAULT_REDACTOR.training_run, TrainingRun("run")),
        (DEFAULT_REDACTOR.logged_model, LoggedModel(MODEL_ID)),
        (DEFAULT_REDACTOR.experiment, Experiment("1")),
        (lambda dataset: DEFAULT_REDACTOR.training_run(TrainingRun("r", datasets=(dataset,))).datasets[0],
         DatasetInput(None, None, None, None, None)),
    ],
)  # fmt: skip
def test_every_text_field_of_an_object_is_redacted(redact, entity) -> None:  # type: ignore[no-untyped-def]  # any kind
    keys = {"model_name", "run_id", "experiment_id", "model_id", "status", "lifecycle_stage", "digest", "stage"}
    keys |= {"deployment_job_state", "source_run_id", "model_type", "logged_model_ids", "aliases", "redactions"}
    if isinstance(entity, RegisteredModel):
        keys.add("name")
    values: dict[str, object] = {}
    for field in fields(entity):
        if "str" not in str(field.type) or field.name in keys:
            continue
        if "float" in str(field.type):
            values[field.name] = {TOKEN: 1.0}
        elif "Mapping" in str(field.type):
            values[field.name] = {TOKEN: TOKEN}
        else:
            values[field.name] = (TOKEN,) if "tuple" in str(field.type) else f"x {TOKEN}"
    redacted = redact(type(entity)(**{field.name: getattr(entity, field.name) for field in fields(entity)} | values))

    assert TOKEN not in repr(redacted)
    assert len(values) >= 3


def test_only_the_secret_in_a_source_is_redacted_so_that_its_location_stays_valid() -> None:
    source = f"s3://key:{TOKEN}@bucket/1/models/{MODEL_ID}/artifacts"

    version = DEFAULT_REDACTOR.model_version(ModelVersion("m", 1, source=source))

    assert version.source == f"s3://key:[redacted: password]@bucket/1/models/{MODEL_ID}/artifacts"
    assert parse_logged_model_id(version.source) == MODEL_ID
    assert version.redactions == (Redaction("source", None, "secret", "password"),)


def test_keys_that_are_tokens_are_redacted_and_stay_distinct() -> None:
    other = "dap" + "i" + random_text(32, HEX)

    run = DEFAULT_REDACTOR.training_run(TrainingRun("r", tags={TOKEN: "a", other: "b"}, metrics={TOKEN: 1.0}))

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

    redacted = settings.training_run(run)

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

    redacted = redactor_with(secrets={"allow": ["demo_*"]}).training_run(run)

    assert dict(redacted.params) == {"demo_password": "hunter" + "2", "password": "[redacted: password]"}


def test_secrets_stay_if_the_tenant_disables_their_redaction() -> None:
    run = TrainingRun("r", tags={"note": TOKEN})

    assert redactor_with(secrets={"redact": False}).training_run(run) is run


def test_personal_data_is_redacted_only_if_the_tenant_enables_it() -> None:
    version = ModelVersion(
        "m", 1, description="Ask anna@acme.example or +49 170 1234567", tags={"owner": "anna@acme.example"}
    )

    assert DEFAULT_REDACTOR.model_version(version) is version

    redacted = redactor_with(personal_data={"redact": ["email", "phone"], "keep_in": ["owner"]}).model_version(version)
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
    redacted = redactor_with(personal_data={"redact": [kind]}).model_version(ModelVersion("m", 1, description=text))

    assert redacted.description == redacted_text


def test_a_tenants_own_pattern_is_redacted_under_its_name() -> None:
    settings = redactor_with(personal_data={"patterns": {"employee_id": "E[0-9]{6}"}})

    run = settings.training_run(TrainingRun("r", params={"by": "é \ud800 E123456, E654321", "n": "123456"}))

    assert dict(run.params) == {"by": "é \ud800 [redacted: employee id], [redacted: employee id]", "n": "123456"}
    assert run.redactions == (Redaction("param", "by", "personal data", "employee id", 2),)


def test_an_object_with_nothing_to_redact_is_returned_unchanged() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    model = RegisteredModel("m", "about", {"a": "b"}, {"champion": 1}, now, now)
    logged = LoggedModel(MODEL_ID, params={"a": "b"}, metrics={"f1": 0.5})
    experiment = Experiment("1", "churn", "s3://bucket/1")

    assert DEFAULT_REDACTOR.registered_model(model) is model
    assert DEFAULT_REDACTOR.logged_model(logged) is logged
    assert DEFAULT_REDACTOR.experiment(experiment) is experiment
