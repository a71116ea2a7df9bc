"""What is left of MLflow's objects."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.artifacts.location import logged_model_id_in
from verifywise_mlflow.connector.models import (
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelVersion,
    Redaction,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.redaction.entity_redactor import Minimiser
from verifywise_mlflow.redaction.settings import Minimisation
from verifywise_mlflow_tests.redaction.made_secrets import HEX, some

TOKEN = "dap" + "i" + some(32, HEX)
SECRET = "[redacted: databricks api token]"
MODEL_ID = "m-" + "8c1d3a5e" * 4

TELLS_ALL = Minimiser(Minimisation())


def minimiser(**settings: object) -> Minimiser:
    return Minimiser(Minimisation.model_validate(settings))


def test_a_secret_leaves_its_kind_and_its_place_in_each_object() -> None:
    pairs = {"k": f"a {TOKEN}"}
    noted = Redaction("tag", "k", "secret", "databricks api token")

    model = TELLS_ALL.registered_model(RegisteredModel("m", tags=pairs))
    version = TELLS_ALL.model_version(ModelVersion("m", 1, tags=pairs))
    run = TELLS_ALL.training_run(TrainingRun("r", tags=pairs))
    logged = TELLS_ALL.logged_model(LoggedModel(MODEL_ID, tags=pairs))

    for kept in (model, version, run, logged):
        assert dict(kept.tags) == {"k": f"a {SECRET}"}
        assert kept.redactions == (noted,)


@pytest.mark.parametrize(
    ("minimised", "made"),
    [
        (TELLS_ALL.registered_model, RegisteredModel("name")),
        (TELLS_ALL.model_version, ModelVersion("name", 1)),
        (TELLS_ALL.training_run, TrainingRun("run")),
        (TELLS_ALL.logged_model, LoggedModel(MODEL_ID)),
        (TELLS_ALL.experiment, Experiment("1")),
        (lambda dataset: TELLS_ALL.training_run(TrainingRun("r", datasets=(dataset,))).datasets[0],
         DatasetInput(None, None, None, None, None)),
    ],
)  # fmt: skip
def test_no_field_of_an_object_lets_a_secret_through(minimised, made) -> None:  # type: ignore[no-untyped-def]  # any kind
    keys = {"model_name", "run_id", "experiment_id", "model_id", "status", "lifecycle_stage", "digest", "stage"}
    keys |= {"deployment_job_state", "source_run_id", "model_type", "logged_model_ids", "aliases", "redactions"}
    if isinstance(made, RegisteredModel):
        keys.add("name")
    values: dict[str, object] = {}
    for field in fields(made):
        if "str" not in str(field.type) or field.name in keys:
            continue
        if "float" in str(field.type):
            values[field.name] = {TOKEN: 1.0}
        elif "Mapping" in str(field.type):
            values[field.name] = {TOKEN: TOKEN}
        else:
            values[field.name] = (TOKEN,) if "tuple" in str(field.type) else f"x {TOKEN}"
    kept = minimised(type(made)(**{field.name: getattr(made, field.name) for field in fields(made)} | values))

    assert TOKEN not in repr(kept)
    assert len(values) >= 3


def test_only_the_secret_of_a_source_is_taken_so_that_it_leads_where_it_led() -> None:
    source = f"s3://key:{TOKEN}@bucket/1/models/{MODEL_ID}/artifacts"

    version = TELLS_ALL.model_version(ModelVersion("m", 1, source=source))

    assert version.source == f"s3://key:[redacted: password]@bucket/1/models/{MODEL_ID}/artifacts"
    assert logged_model_id_in(version.source) == MODEL_ID
    assert version.redactions == (Redaction("source", None, "secret", "password"),)


def test_keys_that_are_tokens_themselves_are_taken_out_and_stay_apart() -> None:
    other = "dap" + "i" + some(32, HEX)

    run = TELLS_ALL.training_run(TrainingRun("r", tags={TOKEN: "a", other: "b"}, metrics={TOKEN: 1.0}))

    assert dict(run.tags) == {SECRET: "a", f"{SECRET} 2": "b"}
    assert dict(run.metrics) == {SECRET: 1.0}
    assert {redaction.place for redaction in run.redactions} == {"tag", "metric"}


def test_keys_that_are_denied_or_not_allowed_leave_only_their_number() -> None:
    settings = minimiser(
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

    kept = settings.training_run(run)

    assert set(kept.tags) == {"Owner", "risk_tier", "mlflow.note"}
    assert dict(kept.params) == {"lr": "0.1"}
    assert dict(kept.metrics) == {"Accuracy": 0.9}
    assert kept.redactions == (
        Redaction("metric", None, "not kept", "denied", 1),
        Redaction("param", None, "not kept", "denied", 1),
        Redaction("tag", None, "not kept", "denied", 3),
    )


def test_a_key_that_the_tenant_allows_keeps_its_secret() -> None:
    run = TrainingRun("r", params={"demo_password": "hunter" + "2", "password": "hunter" + "2"})

    kept = minimiser(secrets={"allow": ["demo_*"]}).training_run(run)

    assert dict(kept.params) == {"demo_password": "hunter" + "2", "password": "[redacted: password]"}


def test_secrets_stay_where_the_tenant_wants_them_kept() -> None:
    run = TrainingRun("r", tags={"note": TOKEN})

    assert minimiser(secrets={"redact": False}).training_run(run) is run


def test_personal_data_stays_unless_the_tenant_asks() -> None:
    version = ModelVersion(
        "m", 1, description="Ask anna@acme.example or +49 170 1234567", tags={"owner": "anna@acme.example"}
    )

    assert TELLS_ALL.model_version(version) is version

    asked = minimiser(personal_data={"redact": ["email", "phone"], "keep_in": ["owner"]}).model_version(version)
    assert asked.description == "Ask [redacted: email] or [redacted: phone]"
    assert dict(asked.tags) == {"owner": "anna@acme.example"}
    assert [redaction.what for redaction in asked.redactions] == ["personal data"] * 2


@pytest.mark.parametrize(
    ("kind", "text", "left"),
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
def test_a_kind_of_personal_data_is_told_by_its_looks(kind: str, text: str, left: str) -> None:
    kept = minimiser(personal_data={"redact": [kind]}).model_version(ModelVersion("m", 1, description=text))

    assert kept.description == left


def test_a_tenants_own_pattern_is_redacted_under_its_name() -> None:
    settings = minimiser(personal_data={"patterns": {"employee_id": "E[0-9]{6}"}})

    run = settings.training_run(TrainingRun("r", params={"by": "é \ud800 E123456, E654321", "n": "123456"}))

    assert dict(run.params) == {"by": "é \ud800 [redacted: employee id], [redacted: employee id]", "n": "123456"}
    assert run.redactions == (Redaction("param", "by", "personal data", "employee id", 2),)


def test_an_object_without_anything_to_hide_stays_the_same_object() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    model = RegisteredModel("m", "about", {"a": "b"}, {"champion": 1}, now, now)
    logged = LoggedModel(MODEL_ID, params={"a": "b"}, metrics={"f1": 0.5})
    experiment = Experiment("1", "churn", "s3://bucket/1")

    assert TELLS_ALL.registered_model(model) is model
    assert TELLS_ALL.logged_model(logged) is logged
    assert TELLS_ALL.experiment(experiment) is experiment
