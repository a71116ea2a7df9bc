"""Names of keys that announce a secret: ``db_password``, ``apiKey``, ``HF_TOKEN``.

Randomness alone is no reason to redact a value: registries are full of hashes and ids. So a value without a
recognizable format is redacted only if its key announces a secret.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from verifywise_mlflow.normalizer.mapping.key_folding import MAX_KEY_LENGTH, is_system_key, split_words

SecretKind = Literal["password", "secret", "key", "token"]

_LAST_WORD: dict[str, SecretKind] = {
    **dict.fromkeys(("password", "passwd", "pwd", "passphrase", "passwort", "kennwort"), "password"),
    **dict.fromkeys(("secret", "secretkey", "credential", "credentials"), "secret"),
    **dict.fromkeys(("apikey", "accesskey", "privatekey", "accountkey"), "key"),
    **dict.fromkeys(("token", "accesstoken", "authtoken", "apitoken"), "token"),
}

_BEFORE_KEY = frozenset(
    (
        *("api", "access", "account", "secret", "private", "auth", "authorization", "signing", "encryption"),
        *("decryption", "shared", "subscription", "master", "service", "client", "app", "license", "ssh", "hmac"),
    )
)
"""``customer_key`` and ``sort_key`` name columns; these words name keys that grant access."""

_BEFORE_PASS = frozenset(("db", "database", "user", "admin", "root", "ssh", "smtp", "mysql", "postgres", "redis"))
"""``first_pass`` and ``forward_pass`` are not passwords."""

_QUALIFIERS = frozenset(
    (
        *("prod", "production", "prd", "staging", "stage", "stg", "dev", "development", "uat", "qa"),
        *("old", "new", "previous", "next", "primary", "secondary", "backup", "value", "v"),
    )
)
"""Suffix words that do not change the meaning of a key, like numbers: ``db_password_prod``, ``apiKey2``."""

_PLACEHOLDER_VALUE = re.compile(
    r"(?i)none|null|nil|n/?a|true|false|yes|no|on|off|unset|empty|default|unknown|required|optional|basic|bearer|"
    r"enabled|disabled|\*+|x{3,}|\.{3}|…|<[^<>]*>|redacted|hidden|masked"
)
_REFERENCE = re.compile(
    r"(?i)\[redacted\b|\$\{?\w|\{\{|%\w+%|env:|file:|vault:|secret:|secrets/|dbutils\.|os\.|arn:aws:(?:secretsmanager|ssm):|"
    r"projects/[^/]+/secrets/|https://[\w-]+\.vault\.azure\.net/|azurekeyvault|keyvault:|op://|sm://"
)
"""A reference to a secret, or the placeholder of a redacted one, is not a secret."""

_TOKEN = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[\w.~+/=:-]{16,4096}", re.ASCII)
_KEY = re.compile(r"[!-~]{8,8192}")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?")


@lru_cache(maxsize=10_000)
def secret_kind_of_key(key: str) -> SecretKind | None:
    """Return the kind of secret that a key announces; None if it announces none."""
    if len(key) > MAX_KEY_LENGTH or is_system_key(key):
        return None
    parts = [word.rstrip("0123456789") for word in split_words(key)]
    while parts and (not parts[-1] or parts[-1] in _QUALIFIERS):
        parts.pop()
    if not parts:
        return None
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if last == "key" and before in _BEFORE_KEY:
        return "key"
    if last == "pass" and before in _BEFORE_PASS:
        return "password"
    return _LAST_WORD.get(last)


def is_secret_value(kind: SecretKind, value: str) -> bool:
    """Return whether a value under such a key is a secret, not a placeholder, a reference or a name like ``<pad>``."""
    value = value.strip()
    if not value or _PLACEHOLDER_VALUE.fullmatch(value) or _REFERENCE.match(value):
        return False
    if kind == "password":
        return True
    if kind == "token":
        return _TOKEN.fullmatch(value) is not None
    return _KEY.fullmatch(value) is not None and not _PLAIN_NUMBER.fullmatch(value)
