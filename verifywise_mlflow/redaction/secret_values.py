"""Distinguishes secrets from other values that people write instead: placeholders, references, paths, types, labels."""

from __future__ import annotations

import re

from verifywise_mlflow.common.store_schemes import OBJECT_STORE_SCHEMES
from verifywise_mlflow.redaction.secret_key_names import SecretKind, secret_kind_of_key

_PLACEHOLDER = re.compile(
    r"(?i)none|null|nil|n/?a|true|false|yes|no|on|off|unset|empty|default|unknown|required|optional|basic|bearer|"
    r"enabled|disabled|[*•●]+|x{3,}|\.{3}|…|<[^<>]*>|\[[^\[\]]*\]|redacted|hidden|masked|changeme|tbd|todo|prompt|ask|"
    r"(?:str|string|text|varchar|char|object|bytes|binary|int|integer|long|bool|boolean|any|secretstr)(?:\([0-9]*\))?!?"
)
"""A word for "no value" or "not shown", or the type of a column or an argument."""

_REFERENCE = re.compile(
    r"""(?x)
      \[redacted:[ ][^\]]{1,60}\].*                               # ours
    | \$\{[^}]{1,200}\} | \$\([^\n]* | \$\{\{.*                   # shell, Compose, GitHub Actions
    | \$[A-Z_][A-Z0-9_]*[0-9]? | \$[a-z_]+ | \$[0-9@*#]           # $DB_PASSWORD; $ummer2024! is a password
    | \$[Ee]nv:\w+
    | %[A-Za-z_]+% | %[A-Z][A-Z0-9_]*% | %\([\w.]{1,100}\)s       # Windows, ConfigParser
    | \{\{.*\}\} | \{[A-Za-z_][\w.\[\]'"]*\} | <%.*%>             # templates
    | env:[A-Za-z_]\w* | ENC\[.*\] | (?:!vault\b|\$ANSIBLE_VAULT).*
    | file:(?:/|\./|~/|[A-Za-z]:[\\/]).*
    | (?:vault|secret|keyvault|azurekeyvault|kv|ssm|gcp|aws|sm|op|awssm|gsm)://.*
    | (?:vault|secret|keyvault|azurekeyvault):[\w.-]+[/:\#][\w./:\#-]*
    | secrets?[./][\w.-]+[./][\w./-]+
    | (?i:dbutils|mssparkutils|notebookutils|os\.environ|os\.getenv|process\.env|System\.getenv|Sys\.getenv|getenv|
      ENV\[)
      [.(\[\w].*
    | (?i:arn:aws[\w-]*:(?:secretsmanager|ssm):).*
    | projects/[^/]+/secrets/.*
    | @Microsoft\.KeyVault\(.*
    | https?://[^\s@?]+                                           # the page of a vault, without credentials
    """
)
"""A reference to a secret, which is not a secret. It must be the whole value: ``$ummer2024!`` is a password."""

_PATH = re.compile(
    r"(?:~|\.{1,2})?/(?:etc|var|home|usr|opt|mnt|run|root|tmp|srv|secrets|Users|dbfs|workspace|app|Volumes|keys|certs)"
    r"/[\w./ -]+|[A-Za-z]:\\[\w\\. -]+|(?:~|\.{0,2})?(?:/[\w.-]+)+\.\w{1,8}|~/[\w./-]+|"
    r"[\w.-]+\.(?:pem|key|crt|cer|json|p12|pfx|jks|txt|ya?ml|env|pub)|"
    rf"(?:dbfs|{'|'.join(OBJECT_STORE_SCHEMES)})://?[\w./@-]+"
)
_WORKING_DIRECTORY = re.compile(r"/[\w./-]*|[A-Za-z]:\\.*|~.*")
"""The shell's ``PWD`` and ``OLDPWD``."""

_TOKEN = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[\w.~+/=:%|-]{16,}", re.ASCII)
_KEY = re.compile(r"[!-~]{8,}")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?")
_HAS_DIGIT = re.compile(r"[0-9]")
_HAS_LETTER = re.compile(r"[A-Za-z]")
_HAS_SIGN_WITHIN = re.compile(r"\w[!@#$%^&*+=?~]")
_LABEL_START = re.compile(
    r"(?i)(?:enter|your|please|forgot|confirm|reset|type|choose|see|the|no|new|invalid|wrong|missing|this)\s"
)
_COLUMN_NAME = re.compile(r"[a-z]+(?:_[a-z]+)+")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_OBJECTS = ("self.", "args.", "os.", "settings.", "config.", "cfg.")
_UPPER_CASE_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")


def is_secret_value(kind: SecretKind, value: str) -> bool:
    """Return whether a value under a key of this kind is a secret, and not a placeholder, a reference or a path."""
    value = value.strip()
    if not value or _PLACEHOLDER.fullmatch(value) or _REFERENCE.fullmatch(value):
        return False
    if _UPPER_CASE_NAME.fullmatch(value) and secret_kind_of_key(value) == kind:
        return False  # password=DB_PASSWORD names a variable
    if kind == "password":
        return not (_is_label(value) or (_WORKING_DIRECTORY.fullmatch(value) and "/" in value[1:]))
    if kind == "token":
        return _TOKEN.fullmatch(value) is not None and not _PATH.fullmatch(value)
    if kind == "key" and _COLUMN_NAME.fullmatch(value):
        return False
    return _KEY.fullmatch(value) is not None and not _PLAIN_NUMBER.fullmatch(value) and not _PATH.fullmatch(value)


def is_code(kind: SecretKind, value: str, *, is_argument: bool) -> bool:
    """Return whether an unquoted value is an expression: ``cfg.db.password``, ``current_password``, ``host_creds``.

    ``is_argument`` is true if the assignment is inside the parentheses of a call. A text has quotes there.
    """
    if not _IDENTIFIER.fullmatch(value):
        return False
    has_digit = _HAS_DIGIT.search(value) is not None
    if kind != "password" and not has_digit:
        return True
    if is_argument:
        is_word_with_number = value.islower() and value[-1].isdigit() and "." not in value and "_" not in value
        return not (has_digit and (is_word_with_number or not (value.islower() or value.isupper())))
    last_name = value.rpartition(".")[2]
    if "." in value:
        return value.startswith(_OBJECTS) or bool(secret_kind_of_key(last_name))
    return "_" in value and value.islower() and not has_digit and bool(secret_kind_of_key(value))


def looks_generated(word: str) -> bool:
    """Return whether a word looks machine-generated: ``Bearer of-good-news`` contains no token."""
    return len(word) >= 8 and bool(_HAS_LETTER.search(word)) and (bool(_HAS_DIGIT.search(word)) or word.endswith("="))


def looks_like_a_password(word: str) -> bool:
    """Return whether a word in prose looks like a password: letters with digits or signs between them."""
    return (
        len(word) >= 6
        and bool(_HAS_LETTER.search(word))
        and bool(_HAS_DIGIT.search(word) or _HAS_SIGN_WITHIN.search(word))
    )


def _is_label(value: str) -> bool:
    """Return whether a value is a label such as ``Enter your password``. ``correct horse battery`` is a passphrase."""
    words = value.split(maxsplit=30)
    return bool(_LABEL_START.match(value)) and any(secret_kind_of_key(word.strip("?!.:,")) for word in words)
