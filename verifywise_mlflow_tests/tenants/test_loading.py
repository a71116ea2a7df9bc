"""Loading ``tenants.yaml``: defaults, and an error with a correction for each invalid field."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.common.waiver_limits import WaiverLimits
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.tenants.auth import BasicCredentials, NoCredentials
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.intervals import Intervals
from verifywise_mlflow.tenants.loading import TENANTS_VARIABLE, load_tenants
from verifywise_mlflow_tests.tenants.tenants_files import tenants_file

EXAMPLE = """\
tenants:
  acme:
    tracking_uri: http://127.0.0.1:5000
    allow_private_network: true          # on premises; without it private, loopback and link-local addresses are refused
    auth: {kind: basic, username: svc-governance, password: env:ACME_MLFLOW_PASSWORD}    # or {kind: none}, {kind: bearer, token: file:/run/secrets/acme}
    headers: {X-Gateway-Key: env:ACME_GATEWAY_KEY}
    workspace: null
    artifacts: {manifests: true, hash: true}
"""  # noqa: E501  # word for word as in issue 2


def test_the_example_of_the_issue_loads_word_for_word(tmp_path: Path) -> None:
    (acme,) = load_tenants(tenants_file(tmp_path, EXAMPLE)).values()

    assert (acme.tenant_id, acme.tracking_uri, acme.workspace) == ("acme", "http://127.0.0.1:5000", None)
    assert acme.allow_private_network
    assert isinstance(acme.auth, BasicCredentials)
    assert (acme.auth.username, str(acme.auth.password)) == ("svc-governance", "env:ACME_MLFLOW_PASSWORD")
    assert {name: str(reference) for name, reference in acme.headers.items()} == {
        "X-Gateway-Key": "env:ACME_GATEWAY_KEY"
    }
    assert (acme.artifacts.manifests, acme.artifacts.hash) == (True, True)


def test_missing_fields_have_safe_defaults(tmp_path: Path) -> None:
    path = tenants_file(tmp_path, "tenants: {acme: {tracking_uri: 'https://mlflow.example.com/ml/'}}")

    acme = load_tenants(path)["acme"]

    assert acme.tracking_uri == "https://mlflow.example.com/ml"
    assert acme.allow_private_network is False
    assert acme.auth == NoCredentials()
    assert acme.artifacts.allowed_locations is None
    assert acme.intervals == Intervals()


def test_a_tenants_limits_override_the_defaults(tmp_path: Path) -> None:
    path = tenants_file(
        tmp_path,
        "tenants: {a: {tracking_uri: 'https://a.example', limits: {max_pages: 7, retry_deadline_seconds: 1.5}},"
        " b: {tracking_uri: 'https://b.example'}}",
    )

    tenants = load_tenants(path)

    assert connection_settings(tenants["a"]).limits == replace(Limits(), max_pages=7, retry_deadline_seconds=1.5)
    assert connection_settings(tenants["b"]).limits == Limits()


def test_a_tenant_overrides_the_operators_defaults_setting_by_setting(tmp_path: Path) -> None:
    text = """
defaults:
  compliance: {thresholds: {a: 1, b: 2}, waiver_limits: {max_days: 90, approvers: [Ada, Grace]}}
tenants:
  acme: {tracking_uri: 'https://a.example'}
  globex:
    tracking_uri: 'https://b.example'
    compliance: {thresholds: {b: 3}, waiver_limits: {approvers: [Bob]}}
"""
    acme, globex = (tenant.compliance for tenant in load_tenants(tenants_file(tmp_path, text)).values())

    assert (acme.thresholds, globex.thresholds) == ({"a": 1, "b": 2}, {"a": 1, "b": 3})
    assert acme.waiver_limits == WaiverLimits(max_days=90, approvers=("Ada", "Grace"))
    assert globex.waiver_limits == WaiverLimits(max_days=90, approvers=("Bob",))


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_every_limit_can_be_set(tmp_path: Path, limit: str) -> None:
    text = f"tenants: {{a: {{tracking_uri: 'https://a.example', limits: {{{limit}: 1}}}}}}"

    assert getattr(load_tenants(tenants_file(tmp_path, text))["a"].limits, limit) == 1


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TENANTS_VARIABLE, str(tenants_file(tmp_path, EXAMPLE)))

    assert set(load_tenants()) == {"acme"}


def test_a_missing_environment_variable_is_named() -> None:
    with pytest.raises(TenantsFileError, match=TENANTS_VARIABLE):
        load_tenants()


@pytest.mark.parametrize("text", ["tenants:", "tenants: {}"])
def test_a_file_without_tenants_has_none(tmp_path: Path, text: str) -> None:
    assert load_tenants(tenants_file(tmp_path, text)) == {}


@pytest.mark.parametrize(
    ("interval", "length"),
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        (" 1 h ", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
    ],
)
def test_an_interval_is_a_number_and_a_unit(tmp_path: Path, interval: str, length: timedelta) -> None:
    text = f"tenants: {{a: {{tracking_uri: 'https://a.example', intervals: {{rehash: '{interval}'}}}}}}"

    assert load_tenants(tenants_file(tmp_path, text))["a"].intervals.rehash == length


@given(text=st.text(max_size=60) | st.from_regex(r"\A[0-9]{1,40} ?[smhdw]\Z"))
def test_an_interval_is_either_valid_or_rejected_with_a_sentence(text: str) -> None:
    try:
        intervals = Intervals.model_validate({"poll": text})
    except ValueError as error:
        message = str(error)
    else:
        message = ""
        assert intervals.poll > timedelta(0)

    assert not message or "interval" in message
