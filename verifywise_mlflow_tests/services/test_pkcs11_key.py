"""A key in a PKCS#11 token signs checkpoints, and never leaves the token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from verifywise_mlflow.audit.checkpoint import sign_checkpoint, verify_claim
from verifywise_mlflow.audit.keys import PublicKey
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import (
    PREVIOUS_KEY_VARIABLE,
    SIGNING_KEY_VARIABLE,
    sign_chain_head,
    signing_key,
    signing_key_of,
)
from verifywise_mlflow.services.audit_verification import verify_audit_trails
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow_tests.support.audit_chains import KEY, NOW, make_chain_of_length
from verifywise_mlflow_tests.support.softhsm import LIBRARY, create_token
from verifywise_mlflow_tests.support.trail_entries import append, entry

PIN = "hunter2-1234"
URI = f"pkcs11:token=audit%20trails;object=signing?module-path={LIBRARY}&pin-source=env:TOKEN_PIN"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A token with a key. The library reads the token's location only once per process."""
    folder = tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        environment.setenv("TOKEN_PIN", PIN)
        create_token(folder, "audit trails", PIN)
        yield


@pytest.mark.usefixtures("token")
def test_a_checkpoint_is_signed_in_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, URI)
    key = signing_key()
    assert key is not None
    public = PublicKey.from_pem(key.public.pem().encode())

    checkpoints = [sign_checkpoint("acme", link, key, NOW) for link in make_chain_of_length(2)]

    assert [verify_claim(checkpoint, [public]).sequence for checkpoint in checkpoints] == [1, 2]


@pytest.mark.usefixtures("token")
def test_a_key_in_a_file_is_replaced_by_one_in_the_token(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.pem").write_bytes(KEY.pem())
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, URI)
    monkeypatch.setenv(PREVIOUS_KEY_VARIABLE, f"file:{tmp_path}/old.pem")
    append(store, entry(1))
    with store.begin("acme") as session:
        sign_chain_head(session, KEY, NOW)

    key = signing_key_of(store, "acme", NOW)

    (report,) = verify_audit_trails(store, ["acme"], [KEY.public])
    assert key is not None
    assert [(change.old_key_id, change.new_key_id) for change in report.key_changes] == [(KEY.key_id, key.key_id)]
    assert (report.damage, report.vouched) == (None, report.entries)


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("object=signing", "object=other"), "the key 'other' in the token 'audit trails' cannot be used: No key"),
        (("object=signing", "object=rsa"), "the key 'rsa' in the token 'audit trails' cannot be used: No key"),
        (("audit%20trails", "absent"), "the token 'absent' cannot be used: No token"),
        (("env:TOKEN_PIN", "env:WRONG_PIN"), "cannot be used: PinIncorrect"),
        (("env:TOKEN_PIN", "env:ABSENT_PIN"), "the environment variable ABSENT_PIN"),
    ],
)
def test_an_unusable_token_is_reported_without_the_pin(
    monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], reason: str
) -> None:
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, URI.replace(*change))
    monkeypatch.setenv("WRONG_PIN", "hunter2-9999")

    with pytest.raises(SecretUnavailableError, match=SIGNING_KEY_VARIABLE) as error:
        signing_key()

    assert (reason in str(error.value), "hunter2" in str(error.value)) == (True, False), error.value


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("pkcs11:token=audit;object=signing?pin-source=env:PIN", "has no module-path"),
        ("pkcs11:token=audit?module-path=/lib.so&pin-source=env:PIN", "has no object"),
        ("pkcs11:token=audit;object=a?module-path=/lib.so&pin-value=hunter2", "has 'pin-value'"),
        ("pkcs11:token=audit;object=a?module-path=/lib.so&pin-source=hunter2", "must be env:NAME or file:"),
        ("pkcs11:token=audit;object=a?module-path=/absent.so&pin-source=env:PIN", "/absent.so"),
    ],
)
def test_a_wrong_uri_is_reported_without_secrets(monkeypatch: pytest.MonkeyPatch, uri: str, reason: str) -> None:
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, uri)
    monkeypatch.setenv("PIN", "hunter2")

    with pytest.raises(SecretUnavailableError) as error:
        signing_key()

    assert (reason in str(error.value), "hunter2" in str(error.value)) == (True, False), error.value
