"""Fake secrets of many kinds, generated in each run from pieces: none is stored in this repository.

Each has a key, a text, and the part of the text that must be redacted.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
from dataclasses import dataclass

LETTERS = string.ascii_letters
DIGITS = string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase


@dataclass(frozen=True, slots=True)
class FakeSecret:
    """One secret with its context."""

    name: str
    text: str
    secret: str
    key: str = "note"


def random_text(length: int, alphabet: str = LETTERS + DIGITS) -> str:
    """Return random characters; at least one digit and one letter if the alphabet has both, as in real tokens."""
    while True:
        text = "".join(secrets.choice(alphabet) for _ in range(length))
        has_digit, has_letter = (
            any(character in DIGITS for character in text),
            any(character in LETTERS for character in text),
        )
        if length < 8 or alphabet in (DIGITS, LETTERS, UPPER) or (has_digit and has_letter):
            return text


def base64_of(length: int) -> str:
    """Return random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(length)).decode()


def private_key(kind: str) -> str:
    """Return a fake private key in PEM format."""
    lines = base64_of(480)
    body = "\n".join(lines[start : start + 64] for start in range(0, len(lines), 64))
    return f"-----BEGIN {kind}PRIVATE " + f"KEY-----\n{body}\n-----END {kind}PRIVATE " + "KEY-----"


def json_web_token() -> str:
    """Return a signed token."""
    parts = (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","iat":1516239022}', secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _tokens() -> list[tuple[str, str]]:
    """Return tokens that are recognized by their format alone."""
    url_safe = LETTERS + DIGITS + "-_"
    return [
        ("aws access key id", "AK" + "IA" + random_text(16, UPPER + "234567")),
        ("aws temporary access key id", "AS" + "IA" + random_text(16, UPPER + "234567")),
        ("google api key", "AI" + "za" + random_text(35)),
        ("google oauth client secret", "GOC" + "SPX-" + random_text(28)),
        ("google oauth token", "ya" + "29." + random_text(120)),
        ("azure client secret", random_text(3) + "8" + "Q~" + random_text(34)),
        ("github token", "gh" + "p_" + random_text(36)),
        ("github oauth", "gh" + "o_" + random_text(36)),
        ("github fine grained token", "github" + "_pat_" + random_text(22) + "_" + random_text(59)),
        ("gitlab token", "gl" + "pat-" + random_text(20)),
        ("gitlab deploy token", "gl" + "dt-" + random_text(20)),
        (
            "slack bot token",
            "xo" + "xb-" + random_text(12, DIGITS) + "-" + random_text(12, DIGITS) + "-" + random_text(24),
        ),
        ("openai project key", "sk" + "-proj-" + random_text(74) + "T3Blb" + "kFJ" + random_text(74)),
        ("openai key", "sk" + "-" + random_text(20) + "T3Blb" + "kFJ" + random_text(20)),
        ("anthropic key", "sk" + "-ant-api03-" + random_text(93, url_safe) + "AA"),
        ("hugging face token", "hf" + "_" + random_text(34, LETTERS)),
        ("json web token", json_web_token()),
        ("databricks token", "dap" + "i" + random_text(32, HEX)),
        ("databricks numbered token", "dap" + "i" + random_text(32, HEX) + "-2"),
        ("npm token", "np" + "m_" + random_text(36)),
        ("pypi token", "py" + "pi-AgEIcHlwaS5vcmc" + random_text(120)),
        ("stripe key", "sk" + "_live_" + random_text(24)),
        ("stripe restricted key", "rk" + "_live_" + random_text(24)),
        ("sendgrid key", "S" + "G." + random_text(22) + "." + random_text(43)),
        ("vault token", "hv" + "s." + random_text(90)),
        ("docker hub token", "dck" + "r_pat_" + random_text(27)),
        ("shopify token", "shp" + "at_" + random_text(32, HEX)),
        ("age key", "AG" + "E-SECRET-KEY-1" + random_text(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")),
        ("rsa key", private_key("RSA ")),
        ("openssh key", private_key("OPENSSH ")),
        ("pkcs8 key", private_key("")),
        ("pkcs8 key, cut off", private_key("")[:500]),
        ("rsa key, cut off with its lines in one", private_key("RSA ").replace("\n", "\\n")[:500]),
    ]


def _under_secret_key_names() -> list[FakeSecret]:
    """Return values that are recognized only by their keys."""
    named = [
        ("password", "hunter" + "2"),
        ("db_password", "correct horse " + "battery"),
        ("MLFLOW_TRACKING_PASSWORD", "Pa55w0rd" + "!"),
        ("mysql.pwd", random_text(10)),
        ("keystorePassphrase", random_text(14)),
        ("db-pass", random_text(9)),
        ("api_key", random_text(32)),
        ("apiKey", random_text(32, HEX)),
        ("X-API-Key", random_text(24)),
        ("aws_secret_access_key", base64_of(30)),
        ("auth_token", random_text(40, HEX)),
        ("HF_TOKEN", random_text(37)),
        ("client_secret", random_text(24)),
        ("secret", random_text(24)),
        ("wandb_api_key", random_text(40, HEX)),
        ("encryption_key", base64_of(32)),
        ("service_credentials", random_text(30)),
        ("db_password_prod", random_text(10)),
        ("password1", random_text(10)),
        ("api_key_v2_old", random_text(32)),
    ]
    return [FakeSecret(f"under {key}", value, value, key) for key, value in named]


def _in_context() -> list[FakeSecret]:
    """Return secrets within longer texts; the rest of each text may stay."""
    word, token, hexed = random_text(16), random_text(32), random_text(40, HEX)
    signature = base64_of(32).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    account, fakes = base64_of(64), []
    for name, before, secret, after in (
        ("postgres url", "postgresql://mlflow:", word, "@db.acme.example:5432/mlflow"),
        ("mysql url", "mysql+pymysql://root:", word, "@10.0.0.5/ml"),
        ("mongodb url", "mongodb+srv://svc:", word, "@cluster0.abcde.mongodb.net/x"),
        ("redis url", "redis://:", word, "@cache:6379/0"),
        ("password with an at sign", "postgresql://u:", f"{word}@{word}", "@db/x"),
        ("git url", "https://user:", word, "@git.acme.example/team/repo.git"),
        ("git url with a token alone", "https://", token, "@github.com/acme/credit"),
        ("bucket url with keys", "s3://key:", word, "@bucket/path/model"),
        ("url in a sentence", "copied from ftp://jo:", word, "@files.acme.example on Monday"),
        (
            "shared access signature",
            "https://a.blob.core.windows.net/c/b?sv=2022-11-02&sp=rl&s" + "ig=",
            signature,
            "&x=1",
        ),
        (
            "signed s3 url",
            "https://s3.amazonaws.com/b/k?X-Amz-Expires=60&X-Amz-Sig" + "nature=",
            random_text(64, HEX),
            "&a=b",
        ),
        ("signed gcs url", "https://storage.googleapis.com/b/k?X-Goog-Sig" + "nature=", random_text(128, HEX), ""),
        ("token in a query", "https://api.acme.example/v1?tok" + "en=", token, "&page=2"),
        ("azure storage", "DefaultEndpointsProtocol=https;AccountName=acme;Account" + "Key=", account, ";X=y"),
        ("service bus", "Endpoint=sb://a.servicebus.windows.net/;SharedAccess" + "Key=", base64_of(32), ""),
        ("sql server", "Server=tcp:x,1433;Database=ml;User ID=sa;Pass" + "word=", f"{word}&3", ";Encrypt=True;"),
        ("odbc", "Driver={ODBC Driver 18};Server=x;UID=sa;PW" + "D=", word, ";"),
        ("header", "Authorization: Bea" + "rer ", token, ""),
        ("basic header", "Authorization: Bas" + "ic ", base64.b64encode(f"u:{word}".encode()).decode(), ""),
        ("basic header without digits", "Authorization: Bas" + "ic ", "dTpXSkFmVmJwZVBwOUdlMzNC", ""),
        ("curl", 'curl -H "Authorization: Bea' + "rer ", token, '" https://x.example'),
        ("option", "python train.py --pass" + "word=", word, " --lr 0.1"),
        ("option with a blank", "python train.py --api-" + "key ", token, " --lr 0.1"),
        ("environment", "export WANDB_API_" + "KEY=", hexed, "\npython train.py"),
        ("ini", "[db]\nuser = sa\npass" + "word = ", word, "\n"),
        ("yaml", "db:\n  user: sa\n  pass" + "word: ", word, "\n"),
        ("json", '{"user": "sa", "pass' + 'word": "', word, '", "port": 5432}'),
        ("json in json", '{"cfg": "{\\"pass' + 'word\\": \\"', word, '\\"}"}'),
        ("python dictionary", "{'user': 'sa', 'pass" + "word': '", f'{word}"', "'}"),
        (
            "service account",
            '{"type": "service_account", "private_' + 'key": "',
            private_key("").replace("\n", "\\n"),
            '"}',
        ),
        (
            "slack webhook",
            "",
            "https://hooks.sl"
            + f"ack.com/services/T{random_text(8, UPPER)}/B{random_text(8, UPPER)}/{random_text(24)}",
            "",
        ),
    ):
        fakes.append(FakeSecret(name, before + secret + after, secret))
    return fakes


def fake_secrets() -> list[FakeSecret]:
    """Return one secret of each kind."""
    tokens = _tokens()
    return [
        *(FakeSecret(name, token, token) for name, token in tokens),
        *(FakeSecret(f"{name} in a sentence", f"used {token} for the upload", token) for name, token in tokens[6:11]),
        *(FakeSecret(f"{name} in JSON", json.dumps({"a": [1, {"b": token}]}), token) for name, token in tokens[14:18]),
        *_under_secret_key_names(),
        *_in_context(),
    ]
