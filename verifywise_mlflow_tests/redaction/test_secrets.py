"""Texts that contain secrets, and texts that only look like it."""

from __future__ import annotations

import random
import time

import pytest

from verifywise_mlflow.redaction import token_scanner
from verifywise_mlflow.redaction.secret_patterns import find_secrets
from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.redaction.text_redactor import TextRedactor
from verifywise_mlflow_tests.redaction.fake_secrets import FakeSecret, fake_secrets, random_text
from verifywise_mlflow_tests.redaction.secret_forms import (
    SecretForm,
    harmless_forms,
    is_redacted,
    redacted_text,
    secret_forms,
)

SECRETS = fake_secrets()
FORMS = secret_forms()
HARMLESS = harmless_forms()

ALL_REDACTIONS = RedactionSettings.model_validate(
    {"personal_data": {"redact": ["email", "phone", "iban", "card", "ip_address"], "patterns": {"odd": "(x+x+)+y"}}}
)


def test_the_tables_have_at_least_two_hundred_cases() -> None:
    assert len(FORMS) >= 200
    assert len(SECRETS) >= 60
    assert len(HARMLESS) >= 200


@pytest.mark.parametrize("fake", SECRETS, ids=lambda fake: fake.name)
def test_a_secret_is_redacted_and_the_rest_stays(fake: FakeSecret) -> None:
    result = redacted_text(fake.key, fake.text)

    before, _, after = fake.text.partition(fake.secret)
    assert fake.secret not in result
    assert "[redacted: " in result
    assert result.startswith(before)
    assert result.endswith(after)


def test_a_secret_is_redacted_in_every_form_that_is_not_a_known_miss() -> None:
    missed = [(form.seen_in, form.text) for form in FORMS if not form.is_known_miss and not is_redacted(form)]

    assert missed == []


def test_known_misses_are_still_misses() -> None:
    """A form that is detected now must move to the other forms: the published rate must not be too low, either."""
    found = [form.text for form in FORMS if form.is_known_miss and is_redacted(form)]

    assert found == []


OWN_TEXTS_OF_MLFLOW = (
    "models:/m-{id}",
    "runs:/{id}/model",
    "mlflow-artifacts:/12/{id}/artifacts/model",
    "mlflow-artifacts:/12/models/m-{id}/artifacts",
    "s3://acme-models-production/mlflow/12/{id}/artifacts/model",
    "gs://acme-models-production/mlflow/12/models/m-{id}/artifacts",
    "abfss://models-production@acmeproductioneu.dfs.core.windows.net/mlflow/12/{id}/artifacts",
    "{id}deadbeef",
)


@pytest.mark.parametrize("template", OWN_TEXTS_OF_MLFLOW)
def test_the_scanner_need_not_be_loaded_for_mlflow_s_own_ids(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [template.format(id=f"{random.Random(seed).getrandbits(128):032x}") for seed in range(200)]
    scanner = token_scanner.load_scanner()
    assert not any(scanner.scan(text.encode()) for text in texts), "it finds a token in an id: keep scanning them"

    monkeypatch.setattr(token_scanner, "load_scanner", lambda: pytest.fail("it was loaded"))
    assert not any(list(token_scanner.find_vendor_tokens(text)) for text in texts)


def test_the_scanner_need_not_be_loaded_for_the_files_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{folder}{name}" for name in token_scanner.FILE_NAMES for folder in ("", "model/", "data/model, ")]
    scanner = token_scanner.load_scanner()
    assert not any(scanner.scan(text.encode()) for text in texts), "it finds a token in a name: keep scanning it"

    monkeypatch.setattr(token_scanner, "load_scanner", lambda: pytest.fail("it was loaded"))
    assert not any(list(token_scanner.find_vendor_tokens(text)) for text in texts)


@pytest.mark.parametrize(
    "prefix", ["models:/", "mlflow-artifacts:/1/", "runs:/", "s3://models/", "requirements.txt ", "model.safetensors/"]
)
def test_a_token_in_a_location_of_mlflow_is_found(prefix: str) -> None:
    token = next(fake.secret for fake in SECRETS if fake.secret.startswith("ghp_"))
    assert list(token_scanner.find_vendor_tokens(f"{prefix}{token}"))


def test_around_a_secret_the_text_stays() -> None:
    def surroundings(form: SecretForm) -> tuple[str, str]:
        return form.text.partition(form.secrets[0])[0], form.text.rpartition(form.secrets[-1])[2]

    changed = []
    for form in FORMS:
        if not form.is_known_miss:
            result, (before, after) = redacted_text(form.key, form.text), surroundings(form)
            changed += [(form.text, result)] * (not (result.startswith(before) and result.endswith(after)))

    assert changed == []


def test_a_value_that_only_looks_like_a_secret_stays() -> None:
    assert [(key, value) for key, value in HARMLESS if redacted_text(key, value) != value] == []


def test_positions_are_correct_in_text_outside_ascii() -> None:
    token = next(fake.secret for fake in SECRETS if fake.name == "github token")

    assert (
        redacted_text("note", f"Schlüssel → \ud800\x00 {token} …") == "Schlüssel → \ud800\x00 [redacted: github pat] …"
    )


@pytest.mark.parametrize("rest", [" " * 40, "\\" * 40, "A" + "\n" * 60, "A" * 40 + "=="])
def test_the_beginning_of_an_encoded_key_without_its_rest_stays(rest: str) -> None:
    text = f"LS0tLS1CRUdJTi{rest}"

    assert redacted_text("note", text) == text


def test_a_placeholder_is_not_redacted_again() -> None:
    cases = [(fake.key, fake.text) for fake in SECRETS] + [(form.key, form.text) for form in FORMS]
    redacted_once = [redacted_text(key, text) for key, text in cases]

    again = [redacted_text(key, text) for (key, _), text in zip(cases, redacted_once, strict=True)]

    assert again == redacted_once


@pytest.mark.parametrize(
    "form",
    ['{{"password": "{}"}}', "password={}", "Authorization: Bearer {}", "<password>{}</password>", "password: {}"],
)
def test_a_secret_of_any_length_is_redacted_as_a_whole(form: str) -> None:
    secret = random_text(50_000)

    result = redacted_text("note", form.format(secret))

    assert len(result) < len(form) + 40


HOSTILE_PIECES = (
    *("aa=", "token=", "://a:", "'aa':\"", "?sig=", ";password=", "--password a ", "a@", "-", " ", "\\", "+1 2", "xx"),
    *(
        "password: ",
        "password:\n",
        "password: |\n ",
        " password: |\n  x\n",
        '"password":"',
        '\\"password\\":\\"',
        "\n\n",
    ),
    *("name: db_password\n", "name: password, value: x\n", "value: xxxx ", "value: xxxx, name: ", "value=value="),
    *("<password>", "<a ", "&lt;a&gt;x", "<name>password</name>", 'name="password" ', "|password|", "| a | "),
    *("mysql ", "mysql -p", "mysql -pX ", "curl -u ", "set password ", "sqlplus a/b", "echo aaaa | ", "net use \\\\a "),
    *(
        "htpasswd -b a ",
        "login a password ",
        "-passin pass:",
        "a/b@",
        "scott/x@",
        "jdbc:oracle:thin:a/",
        "https://a/t/",
    ),
    *("://u:p/", "%3A%2F%2Fa%3A", "password%3Dx%26", '["--password",', "- --password\n- x\n", "('password', '", "("),
    *(
        "set('password', '",
        "auth=('a', '",
        "IDENTIFIED BY ",
        "password '",
        "PASSWORD('",
        "Basic ",
        "sessionid=",
        "auth=",
    ),
    *("a:1:b:c:", "a:$1$", '"kty" "d":"', "LS0tLS1CRUdJTi", "Private-Lines: 1\n", "-----BEGIN PRIVATE KEY-----", "é="),
    *("password is ", "password='''", "password=SecretStr(", "password:str=", "Password={;", 'Password="', "a b key="),
    *("password: !!a ", "password: &a ", "password: #", "password= #", "export ", "password = a b ", "a_", "a.", "\t"),
)
"""Texts with which a match of an expression can begin. Tests repeat them."""


@pytest.mark.parametrize("piece", HOSTILE_PIECES[:13])
def test_a_million_hostile_characters_take_seconds_at_most(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    redactor = TextRedactor(ALL_REDACTIONS)
    began = time.process_time()

    redactor.redact(redactor.scope("note"), text)

    assert time.process_time() - began < 10


def test_the_time_for_a_hostile_text_is_linear_for_every_expression() -> None:
    """A quadratic expression would take much longer for 40,000 characters."""
    slow = []
    for piece in HOSTILE_PIECES:
        text = (piece * (40_000 // len(piece) + 1))[:40_000]
        began = time.process_time()
        for _ in find_secrets(text):
            pass
        slow += [piece] * (time.process_time() - began > 1.5)

    assert slow == []
