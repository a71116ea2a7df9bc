"""Passwords in the arguments of well-known programs: ``mysql -pX``, ``sshpass -p X``, ``curl -u user:X``.

A short option has another meaning in each program: ``-p`` is a password for mysql and a port for ssh.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.redaction.secret_key_names import secret_kind_of_key
from verifywise_mlflow.redaction.secret_values import is_secret_value, looks_generated
from verifywise_mlflow.redaction.spans import Span


@dataclass(frozen=True, slots=True)
class _Program:
    """How a program takes a password."""

    attached: tuple[str, ...] = ()
    """Options that the password follows without a space: ``-pX``."""
    separate: tuple[str, ...] = ()
    """Options with the password as the next word: ``-p X``."""
    pairs: tuple[str, ...] = ()
    """Options with ``user:password`` as the next word, or attached; smbclient writes ``user%password``."""
    takes_key_and_value: bool = False
    """Whether the name of a secret is followed by its value as the next word: ``aws configure set KEY X``."""
    takes_token: bool = False
    """Whether the next word that looks generated is a token: ``wandb login X``."""
    takes_login: bool = False
    """Whether the first word is ``user/password``, as for Oracle's tools."""


_ATTACHED, _SEPARATE = _Program(attached=("-p",)), _Program(separate=("-p",))
_EITHER = _Program(separate=("-p",), attached=("-p",))
_CURL = _Program(pairs=("-u", "--user", "-U", "--proxy-user"))
_KEY_AND_VALUE = _Program(takes_key_and_value=True)

_PROGRAMS: Final[Mapping[str, _Program]] = {
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlsh"), _ATTACHED),
    **dict.fromkeys(("mariadb", "mariadb-dump"), _ATTACHED),
    **dict.fromkeys(("mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"), _EITHER),
    "sshpass": _EITHER,
    **dict.fromkeys(("login", "cqlsh", "beeline", "psexec", "nxc", "rdesktop"), _SEPARATE),
    **dict.fromkeys(("mosquitto_pub", "mosquitto_sub"), _Program(separate=("-P",))),
    "redis-cli": _Program(separate=("-a", "--pass")),
    **dict.fromkeys(("ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami"), _Program(separate=("-w",))),
    **dict.fromkeys(("sqlcmd", "bcp", "osql", "isql"), _Program(separate=("-P",), attached=("-P",))),
    **dict.fromkeys(("zip", "unzip"), _Program(separate=("-P",), attached=("-P",))),
    **dict.fromkeys(("7z", "7za", "rar", "unrar"), _Program(attached=("-p", "-hp"))),
    **dict.fromkeys(("xfreerdp", "cmdkey", "schtasks"), _Program(attached=("/p:", "/pass:", "/rp:"))),
    "curl": _CURL,
    **dict.fromkeys(("http", "https", "httpie", "xh"), _Program(pairs=("-a", "--auth"))),
    **dict.fromkeys(("smbclient", "rpcclient", "smbget"), _Program(pairs=("-U", "--user"))),
    **dict.fromkeys(("set", "setx", "setenv", "ENV", "ARG", "modify", "config"), _KEY_AND_VALUE),
    **dict.fromkeys(("wandb", "comet", "neptune", "heroku"), _Program(takes_token=True)),
    **dict.fromkeys(("sqlplus", "sqlldr", "expdp", "impdp", "rman", "sqlcl"), _Program(takes_login=True)),
}
_ANY_PROGRAM = re.compile(
    "(?<![\\w-])(?:" + "|".join(sorted(map(re.escape, _PROGRAMS), key=len, reverse=True)) + ")[ \t]"
)

_WORD = re.compile(
    r"[ \t]*+(?P<word>\"[^\"\n]{0,8192}+\"|'[^'\n]{0,8192}+'|[^\s|;\"']+(?:[\"'][^\"'\n]*+[\"'])?[^\s|;\"']*+)"
)
_LOGIN = re.compile(r"[\w$#]{1,128}/([^\s/@]{1,128})(?:@\S*)?")

_PASS_ARGUMENT = re.compile(r"(?<!\S)-(?:passin|passout|pass|password)[ =]pass:(\S{1,4096})")
_NETRC = re.compile(r"\blogin\s{1,40}+\S{1,256}+\s{1,40}+password\s{1,40}+(\S{1,4096}+)")
_ECHO_INTO = re.compile(
    r"\becho\s{1,8}+(?:-n\s{1,8}+)?([\"']?)([^\s\"'|$]{4,1024}+)\1\s{0,8}+\|\s{0,8}+"
    r"(?:sudo\s+-\w*S|chpasswd|passwd\s|[^|\n]{1,200}--(?:password|passphrase|token)-(?:stdin|fd))"
)
_HTPASSWD = re.compile(
    r"\bhtpasswd\s+-\w*b\w*(?:\s+-\w+(?:\s+[0-9]+)?)?(?:\s+[^\s-]\S*)?\s+[^\s-]\S*\s+(\S{4,1024})\s*(?:$|[|;&\n])"
)
_NET_USE = re.compile(
    r"(?i)\bnet\s+use\s[^\n]{0,300}?\\\\\S{1,300}\s+(\S{4,256})\s+/user:|\bnet\s+user\s+\S+\s+([^\s/]\S{3,255})"
)


def find_secrets_in_commands(text: str) -> Iterator[Span]:
    """Yield the passwords in the arguments of the programs that this module knows."""
    if " " not in text and "\t" not in text:
        return  # a password in a command is a word of its own
    for match in _ANY_PROGRAM.finditer(text):
        program = _PROGRAMS[match[0].strip()]
        for start, end, kind in _secrets_of(program, text, match.end()):
            yield Span(start, end, "secret", kind)
    lower = text.lower()
    for sign, pattern in _OTHERS:
        for match in pattern.finditer(text) if sign in lower else ():
            group = match.lastindex or 1
            value = match[group].rpartition(":")[2] if pattern is _ECHO_INTO else match[group]
            if is_secret_value("password", value):
                yield Span(match.end(group) - len(value), match.end(group), "secret", "password")


_OTHERS: Final = (
    ("pass:", _PASS_ARGUMENT),
    ("password", _NETRC),
    ("echo", _ECHO_INTO),
    ("htpasswd", _HTPASSWD),
    ("use", _NET_USE),
)
"""Expressions, each with a word in lower case that every match contains."""
_MAX_WORDS: Final = 40
"""The number of words after a program that are examined. It bounds the time for a text that names programs again and
again."""


def _secrets_of(program: _Program, text: str, position: int) -> Iterator[tuple[int, int, str]]:
    previous = ""
    for _ in range(_MAX_WORDS):
        match = _WORD.match(text, position)
        if match is None:
            return
        start, end = match.span("word")
        word = text[start:end]
        if word[:1] in "\"'" and len(word) > 1:
            start, end, word = start + 1, end - 1, word[1:-1]
        secrets = list(_in_word(program, previous, word, start))
        yield from secrets
        previous, position = word, match.end()
        if (secrets and not program.pairs) or (word in _PROGRAMS and not program.takes_token):
            return  # the arguments of another program may follow


def _in_word(program: _Program, previous: str, word: str, start: int) -> Iterator[tuple[int, int, str]]:
    end = start + len(word)
    if previous in program.separate and not word.startswith("-"):
        if is_secret_value("password", word):
            yield start, end, "password"
    elif previous in program.pairs:
        mark = ":" if ":" in word else "%"
        user, _, password = word.partition(mark)
        if password and is_secret_value("password", password):
            yield start + len(user) + 1, end, "password"
    elif program.takes_key_and_value and (kind := secret_kind_of_key(previous.lstrip("-"))) and "=" not in previous:
        is_setting = not word.isalpha()  # set the OPENAI_API_KEY environment variable
        if is_setting and len(word) >= 4 and not word.startswith(("-", "=", ":")) and is_secret_value(kind, word):
            yield start, end, kind
    elif program.takes_token and looks_generated(word) and len(word) >= 32:
        yield start, end, "token"
    elif program.takes_login and (login := _LOGIN.fullmatch(word)) and is_secret_value("password", login[1]):
        yield start + login.start(1), start + login.end(1), "password"
    else:
        for option in program.attached:
            password = word.removeprefix(option)
            if word != password and password and not password.startswith("=") and is_secret_value("password", password):
                yield start + len(option), end, "password"
                return
