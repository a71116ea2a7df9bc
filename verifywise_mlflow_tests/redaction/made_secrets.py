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
class Made:
    """One secret with its context."""

    name: str
    text: str
    secret: str
    key: str = "note"


def some(length: int, alphabet: str = LETTERS + DIGITS) -> str:
    """Return random characters; at least one digit and one letter if the alphabet has both, as in real tokens."""
    while True:
        made = "".join(secrets.choice(alphabet) for _ in range(length))
        has_digit, has_letter = (
            any(character in DIGITS for character in made),
            any(character in LETTERS for character in made),
        )
        if length < 8 or alphabet in (DIGITS, LETTERS, UPPER) or (has_digit and has_letter):
            return made


def base64_of(length: int) -> str:
    """Return random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(length)).decode()


def private_key(kind: str) -> str:
    """Return what looks like a key in PEM."""
    lines = base64_of(480)
    body = "\n".join(lines[start : start + 64] for start in range(0, len(lines), 64))
    return f"-----BEGIN {kind}PRIVATE " + f"KEY-----\n{body}\n-----END {kind}PRIVATE " + "KEY-----"


def json_web_token() -> str:
    """Return a signed token."""
    parts = (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","iat":1516239022}', secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _tokens() -> list[tuple[str, str]]:
    """Return tokens that show by their looks alone what they are."""
    url_safe = LETTERS + DIGITS + "-_"
    return [
        ("aws access key id", "AK" + "IA" + some(16, UPPER + "234567")),
        ("aws temporary access key id", "AS" + "IA" + some(16, UPPER + "234567")),
        ("google api key", "AI" + "za" + some(35)),
        ("google oauth client secret", "GOC" + "SPX-" + some(28)),
        ("google oauth token", "ya" + "29." + some(120)),
        ("azure client secret", some(3) + "8" + "Q~" + some(34)),
        ("github token", "gh" + "p_" + some(36)),
        ("github oauth", "gh" + "o_" + some(36)),
        ("github fine grained token", "github" + "_pat_" + some(22) + "_" + some(59)),
        ("gitlab token", "gl" + "pat-" + some(20)),
        ("gitlab deploy token", "gl" + "dt-" + some(20)),
        ("slack bot token", "xo" + "xb-" + some(12, DIGITS) + "-" + some(12, DIGITS) + "-" + some(24)),
        ("openai project key", "sk" + "-proj-" + some(74) + "T3Blb" + "kFJ" + some(74)),
        ("openai key", "sk" + "-" + some(20) + "T3Blb" + "kFJ" + some(20)),
        ("anthropic key", "sk" + "-ant-api03-" + some(93, url_safe) + "AA"),
        ("hugging face token", "hf" + "_" + some(34, LETTERS)),
        ("json web token", json_web_token()),
        ("databricks token", "dap" + "i" + some(32, HEX)),
        ("databricks numbered token", "dap" + "i" + some(32, HEX) + "-2"),
        ("npm token", "np" + "m_" + some(36)),
        ("pypi token", "py" + "pi-AgEIcHlwaS5vcmc" + some(120)),
        ("stripe key", "sk" + "_live_" + some(24)),
        ("stripe restricted key", "rk" + "_live_" + some(24)),
        ("sendgrid key", "S" + "G." + some(22) + "." + some(43)),
        ("vault token", "hv" + "s." + some(90)),
        ("docker hub token", "dck" + "r_pat_" + some(27)),
        ("shopify token", "shp" + "at_" + some(32, HEX)),
        ("age key", "AG" + "E-SECRET-KEY-1" + some(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")),
        ("rsa key", private_key("RSA ")),
        ("openssh key", private_key("OPENSSH ")),
        ("pkcs8 key", private_key("")),
        ("pkcs8 key, cut off", private_key("")[:500]),
        ("rsa key, cut off with its lines in one", private_key("RSA ").replace("\n", "\\n")[:500]),
    ]


def _under_telling_keys() -> list[Made]:
    """Return values that only their keys give away."""
    named = [
        ("password", "hunter" + "2"),
        ("db_password", "correct horse " + "battery"),
        ("MLFLOW_TRACKING_PASSWORD", "Pa55w0rd" + "!"),
        ("mysql.pwd", some(10)),
        ("keystorePassphrase", some(14)),
        ("db-pass", some(9)),
        ("api_key", some(32)),
        ("apiKey", some(32, HEX)),
        ("X-API-Key", some(24)),
        ("aws_secret_access_key", base64_of(30)),
        ("auth_token", some(40, HEX)),
        ("HF_TOKEN", some(37)),
        ("client_secret", some(24)),
        ("secret", some(24)),
        ("wandb_api_key", some(40, HEX)),
        ("encryption_key", base64_of(32)),
        ("service_credentials", some(30)),
        ("db_password_prod", some(10)),
        ("password1", some(10)),
        ("api_key_v2_old", some(32)),
    ]
    return [Made(f"under {key}", value, value, key) for key, value in named]


def _in_their_surroundings() -> list[Made]:
    """Return secrets inside longer texts, whose rest may stay."""
    word, token, hexed = some(16), some(32), some(40, HEX)
    signature = base64_of(32).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    account, made = base64_of(64), []
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
        ("signed s3 url", "https://s3.amazonaws.com/b/k?X-Amz-Expires=60&X-Amz-Sig" + "nature=", some(64, HEX), "&a=b"),
        ("signed gcs url", "https://storage.googleapis.com/b/k?X-Goog-Sig" + "nature=", some(128, HEX), ""),
        ("token in a query", "https://api.acme.example/v1?tok" + "en=", token, "&page=2"),
        ("azure storage", "DefaultEndpointsProtocol=https;AccountName=acme;Account" + "Key=", account, ";X=y"),
        ("service bus", "Endpoint=sb://a.servicebus.windows.net/;SharedAccess" + "Key=", base64_of(32), ""),
        ("sql server", "Server=tcp:x,1433;Database=ml;User ID=sa;Pass" + "word=", f"{word}&3", ";Encrypt=True;"),
        ("odbc", "Driver={ODBC Driver 18};Server=x;UID=sa;PW" + "D=", word, ";"),
        ("header", "Authorization: Bea" + "rer ", token, ""),
        ("basic header", "Authorization: Bas" + "ic ", base64.b64encode(f"u:{word}".encode()).decode(), ""),
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
            "https://hooks.sl" + f"ack.com/services/T{some(8, UPPER)}/B{some(8, UPPER)}/{some(24)}",
            "",
        ),
    ):
        made.append(Made(name, before + secret + after, secret))
    return made


def made_secrets() -> list[Made]:
    """Return one secret of each kind."""
    tokens = _tokens()
    return [
        *(Made(name, token, token) for name, token in tokens),
        *(Made(f"{name} in a sentence", f"used {token} for the upload", token) for name, token in tokens[6:11]),
        *(Made(f"{name} in JSON", json.dumps({"a": [1, {"b": token}]}), token) for name, token in tokens[14:18]),
        *_under_telling_keys(),
        *_in_their_surroundings(),
    ]
