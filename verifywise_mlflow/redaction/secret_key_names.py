"""Names of keys that announce a secret: ``db_password``, ``PGPASSWORD``, ``apiKey``, ``HF_TOKEN``.

Registries are full of random values that are not secrets, such as hashes and IDs. So a value without a recognizable
format is redacted only if its key announces a secret.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from verifywise_mlflow.normalizer.mapping.key_folding import MAX_KEY_LENGTH, is_system_key, split_words

SecretKind = Literal["password", "secret", "key", "token"]

_LAST_WORD: dict[str, SecretKind] = {
    **dict.fromkeys(
        ("passwords", "passcode", "contrasena", "senha", "passe", "wachtwoord", "haslo", "parola"), "password"
    ),
    **dict.fromkeys(("пароль", "密码", "密碼", "パスワード", "비밀번호"), "password"),
    **dict.fromkeys(("credential", "credentials", "creds"), "secret"),
    **dict.fromkeys(("auth", "authorization", "bearer", "jwt", "pat", "sessionid", "jsessionid"), "token"),
}

_ENDING: tuple[tuple[tuple[str, ...], SecretKind], ...] = (
    (("password", "passwd", "passphrase", "passwort", "kennwort", "pwd"), "password"),
    (("secretkey", "apikey", "accesskey", "privatekey", "accountkey", "masterkey", "signingkey", "sharedkey"), "key"),
    (("secret",), "secret"),
    (("token",), "token"),
)
"""Endings of a key's last word that announce a secret: ``PGPASSWORD``, ``clientsecret``, ``authtoken``."""

_BEFORE_KEY = frozenset(
    (
        *("api", "access", "account", "secret", "private", "auth", "authorization", "signing", "encryption"),
        *("decryption", "shared", "subscription", "master", "service", "client", "app", "license", "ssh", "hmac"),
        *("fernet", "jwt", "deploy", "rsa", "ssl", "tls", "gpg", "pgp", "storage", "cosmos", "webhook", "session"),
        *("openai", "anthropic", "cohere", "mistral", "gemini", "stripe", "sendgrid", "datadog", "aws", "azure", "gcp"),
    )
)
"""The words before ``key`` with which it means a key that grants access; ``customer_key`` and ``sort_key`` name
columns."""

_BEFORE_PASS = frozenset(
    (
        *("db", "database", "user", "admin", "root", "ssh", "smtp", "mysql", "postgres", "redis", "pg", "mongo"),
        *("mail", "email", "imap", "ftp", "sftp", "proxy", "http", "basic", "login", "rabbitmq", "amqp", "mqtt"),
        *("kafka", "elastic", "es", "neo", "sql", "oracle", "jdbc", "ldap", "bind", "key", "store", "keystore"),
        *("truststore", "cert", "sudo", "become", "vpn", "wifi", "registry", "docker", "nexus", "git", "svc", "sa"),
        *("service", "src", "dest", "app", "my", "new", "old", "default", "the"),
    )
)
"""The words before ``pass`` with which it means a password; ``first_pass`` and ``forward_pass`` are not passwords."""

_QUALIFIERS = frozenset(
    (
        *("prod", "production", "prd", "staging", "stage", "stg", "dev", "development", "uat", "qa", "test", "local"),
        *("old", "new", "previous", "next", "primary", "secondary", "backup", "value", "v", "current", "default"),
        *("data", "base", "plain", "plaintext", "text", "string", "str", "encoded", "b", "here"),
    )
)
"""Suffix words that do not change the meaning of a key, like numbers: ``db_password_prod``, ``client-key-data``."""

_AZURE_HOST = re.compile(r"\.[\w-]{1,60}\.(?:blob|dfs)\.core\.windows\.net$")
"""The host at the end of Spark's settings for Azure: ``fs.azure.account.key.acme.blob.core.windows.net``."""


@lru_cache(maxsize=10_000)
def secret_kind_of_key(key: str) -> SecretKind | None:
    """Return the kind of secret that a key announces; None if it announces no secret."""
    if is_system_key(key):
        return None
    # The end of a key shows what its value is, so only the end of a key longer than MLflow's limit is examined.
    parts = [word.rstrip("0123456789") for word in split_words(_AZURE_HOST.sub("", key[-MAX_KEY_LENGTH:]))]
    while parts and (not parts[-1] or parts[-1] in _QUALIFIERS):
        parts.pop()
    if not parts:
        return None
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if last == "key" and before in _BEFORE_KEY:
        return "key"
    if _is_short_password_word(last, before):
        return "password"
    for endings, kind in _ENDING:
        if last.endswith(endings):
            return kind
    return _LAST_WORD.get(last)


def _is_short_password_word(last: str, before: str) -> bool:
    """Return whether ``pass`` or ``pw`` means a password: ``db_pass``, ``sshpass``, a key ``pass`` alone."""
    for short in ("pass", "pw"):
        if last == short:
            return not before or before in _BEFORE_PASS
        if last.endswith(short) and last.removesuffix(short) in _BEFORE_PASS:
            return True
    return False
