"""Finds the value after a key that announces a secret, in the syntaxes of settings, code, JSON, YAML and shells.

Every expression takes linear time: repetitions are bounded or possessive. Each value is examined once, even if a text
contains many keys, because the search continues after the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.redaction.secret_key_names import SecretKind, secret_kind_of_key
from verifywise_mlflow.redaction.secret_values import is_code, is_secret_value, looks_like_a_password
from verifywise_mlflow.redaction.spans import Span

_QUOTE: Final = r"\\{0,8}(?:\"|'|`|&quot;|&\#0?3[49];|%22|%27)"
_MIN_BARE_LENGTH: Final = 4
"""The minimum number of characters of an unquoted value. Shorter words are numbers and names of variables."""

_ASSIGNMENT = re.compile(
    rf"""(?x)(?:(?<![\w.-]) | (?<=%[0-9A-Fa-f][0-9A-Fa-f]))
    (?P<dashes>-{{0,2}})
    (?P<key>[^\W\d][\w.-]{{1,249}}+(?:[ ](?i:key|secret|token|password|passphrase|signature))?)
    (?P<quote>{_QUOTE})? \]?
    [ \t]{{0,8}}+
    (?P<sep>:[ ]?(?:str|bytes|string|String|SecretStr|Optional\[str\])(?:[ ]\|[ ]None)?[ \t]{{0,8}}+=
      | => | := | \|\|= | =(?![=~]) | :(?!:|//) | %3[Dd] | %3[Aa](?!%2[Ff]) )
    (?P<space>[ \t]{{0,16}}+)
    """
)
_OPENING_QUOTE = re.compile(
    r"(?:(?:pydantic\.)?Secret(?:Str|Bytes)?\(|str\(|bytes\(|(?:urllib\.parse\.)?quote(?:_plus)?\(|(?:F\.)?lit\()?"
    r"[bBrRuUfFN]{0,2}(?P<slashes>\\{0,8})(?P<mark>\"\"\"|'''|\"|'|`|&quot;|&\#0?3[49];|%22|%27)"
)
_UNTIL_QUOTE = {mark: re.compile(rf"(?:[^{mark}\\\r\n]|\\[^\r\n])*+") for mark in "\"'`"}

_LINE_START = re.compile(
    r"\s*(?:(?:export|declare|local|readonly|set|setx|env|ENV|ARG|SET|var|let|const|-)\s+(?:-\w+\s+)?)*"
    r"(?:\$[Ee]nv:|[#;]\s*|\")?"
)
_BEFORE_ON_LINE: Final = 80
"""The number of characters before a key that are searched for the start of the key's line."""

_UNTIL_SPACE = re.compile(r"(?:(?![;&,][\w .-]{1,40}+=)\S)+")
_UNTIL_SPACE_OR_SIGN = re.compile(r"[^\s\"'`&;,()\[\]{}<>|]+")
_UNTIL_PERCENT_SIGN = re.compile(r"(?:(?!%2[0267cC]|%3[bB]|%7[dD])[^\s&\"'<>])+")
_WORD_IN_PROSE = re.compile(r"[^\s,;\"'`<>})\]]+")
_REST_OF_LINE = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"(?<![ \t])[ \t]++(?:#|//|;)[^\r\n]*$")
_YAML_TAG = re.compile(r"(?:(?!!vault)!{1,2}[\w:/.-]{1,60}|&[\w-]{1,60})[ \t]+")
_YAML_BLOCK = re.compile(r"[|>][+-]?[0-9]?[ \t]*(?:#[^\n]*)?\r?\n")
_MORE_SETTINGS = re.compile(r"[=;&(<]")
_CALL_START = re.compile(r"[A-Za-z_][\w.]*[(\[{][\"']?")
_CODE_WORDS = re.compile(r"\b(?:if|else|or|and|in|for|is|not|await|new|lambda)\b|[=({\[]")

_OPTION = re.compile(r"(?<!\S)--?([A-Za-z][\w-]{1,63})[ \t]{1,4}(?!-)")
_LISTED_OPTION = re.compile(rf"(?:{_QUOTE}|-[ \t]+)--?([A-Za-z][\w-]{{1,63}})(?:{_QUOTE}\s*+,|[ \t]*+\r?\n\s*+-)\s*+")
"""An option in a list: ``["--password", "X"]`` of a container's command, and the same as a YAML list."""

_PAIR_IN_CALL = re.compile(
    rf"(?P<function>[\w.]{{1,80}}+\(|[(\[])\s{{0,8}}{_QUOTE}(?P<key>[\w. -]{{2,120}}+){_QUOTE}"
    r"\s{0,8},\s{0,8}(?=[\"'\\])"
)
_SETTERS = re.compile(r"(?i)(?:^|\.)(?:define|put|add|conf|config|option|property|header|with\w*|set\w*|put\w*)\($")
_SETTER_CALL = re.compile(
    r"\.(?:set|with)?_?(?P<key>[Pp]ass(?:word|phrase|wd)?|[Aa]piKey|api_key|[Cc]lientSecret|[Ss]ecretKey)\((?=[\"'])"
)

_NAMED = re.compile(
    rf"""(?x)(?<![\w-])(?i:(?:parameter)?(?:name|key)|variable|property|field|id)(?:{_QUOTE})?
    \s{{0,8}}+[:=]\s{{0,8}}+(?:{_QUOTE})?(?P<key>[\w.-]{{2,250}}+)(?:{_QUOTE})?
    [\s,;]{{1,200}}+
    (?:(?!(?i:value))[\"']?[\w-]{{1,40}}+[\"']?[ ]?[:=][ ]?[\"']?[\w./-]{{0,80}}+[\"']?[\s,;]{{1,80}}+)?
    (?:{_QUOTE})?(?i:(?:parameter)?value)(?:{_QUOTE})?\s{{0,8}}+[:=]\s{{0,8}}+"""
)
"""Pairs such as ``{name: DB_PASSWORD, value: X}`` in any syntax: Kubernetes, ECS, .NET, MLflow's own key and value."""

_NAMED_AFTER = re.compile(
    rf"""(?x)(?<![\w-])(?i:value)(?:{_QUOTE})?\s{{0,8}}+[:=]\s{{0,8}}+(?P<quote>[\"']?)(?P<value>[^\"'\s,}}]{{4,8192}}+)(?P=quote)
    [\s,;]{{1,200}}+(?:{_QUOTE})?(?i:name|key)(?:{_QUOTE})?\s{{0,8}}+[:=]\s{{0,8}}+(?:{_QUOTE})?(?P<key>[\w.-]{{2,250}}+)"""
)
_XML_ELEMENT = re.compile(
    r"(?:<|&lt;)(?:[\w-]{1,40}:)?(?P<key>[A-Za-z][\w.-]{1,63}+)(?:\s[^<>&]{0,300}+)?(?:>|&gt;)\s{0,80}+"
    r"(?:<!\[CDATA\[)?(?P<value>[^<&\]]++)(?:\]\]>)?\s{0,80}+(?:<|&lt;)/"
)
_XML_NAMED = re.compile(
    r"(?:<name>\s{0,8}+(?P<element>[\w.-]{2,250}+)\s{0,8}+</name>|(?:name|key|id)=[\"'](?P<key>[\w.-]{2,250}+)[\"'][^<>]{0,200}+>)"
    r"\s{0,80}+(?:<value>)?(?P<value>[^<]++)</"
)
_TABLE_CELL = re.compile(
    r"\|[ \t]{0,40}+`?(?P<key>[\w.-]{2,120}+)`?[ \t]{0,40}+\|[ \t]{0,40}+`?(?P<value>[^|\s`]{6,}+)`?"
)
_IN_PROSE = re.compile(
    r"(?i)\b(?P<key>password|passwort|passphrase|pwd|api[ -]key|access[ -]key|secret)[ ](?:is|was|ist|to|=|→|->)[ ]"
    r"[\"'`]?(?P<value>[^\s\"'`,;]{6,}+)"
)
_IN_PARENTHESES_OF_CALL = ("(", ",")


@dataclass(frozen=True, slots=True)
class _Value:
    """The position of a value in a text."""

    start: int
    end: int
    is_quoted: bool = False
    is_argument: bool = False
    """Whether the value is an argument of a call in code, without quotes."""
    must_look_generated: bool = False
    """Whether the value counts only if it looks generated, because the context may be prose."""


def find_assigned_secrets(text: str) -> Iterator[Span]:
    """Yield the values of all keys in a text that announce a secret."""
    if "=" in text or ":" in text or "%3" in text:
        yield from _in_assignments(text)
        yield from _in_named_values(text)
    if "-" in text:
        yield from _in_options(text)
    if "(" in text or "[" in text:
        yield from _in_calls(text)
    if "<" in text or "&lt;" in text:
        yield from _by_groups(text, _XML_ELEMENT)
        yield from _by_groups(text, _XML_NAMED)
    if "|" in text:
        yield from _by_groups(text, _TABLE_CELL, must_look_generated=True)
    yield from _by_groups(text, _IN_PROSE, must_look_generated=True)


def _in_assignments(text: str) -> Iterator[Span]:
    position = 0
    for match in _ASSIGNMENT.finditer(text):
        kind = secret_kind_of_key(match["key"]) if match.end() >= position else None
        if kind is None:
            continue
        value = _value_of(text, match)
        if value is None:
            continue
        position = value.end
        if _is_secret(kind, text, value):
            yield Span(value.start, value.end, "secret", kind)


def _value_of(text: str, match: re.Match[str]) -> _Value | None:
    start = match.end()
    if match["quote"] and text.startswith(("\n", "\r"), start):
        start += len(text[start : start + 200]) - len(text[start : start + 200].lstrip())
    quoted = _quoted_value(text, start)
    if quoted:
        return quoted
    if match["sep"].startswith("%"):
        return _bare(text, start, _UNTIL_PERCENT_SIGN)
    if around := _value_within_quotes(text, match, start):
        return around
    starts_line = _starts_line(text, match.start())
    if match["sep"] in (":", "=>"):
        return _value_after_colon(text, start, match, starts_line=starts_line)
    if starts_line or match["dashes"]:
        return _value_on_line(text, start, match)
    before = text[max(0, match.start() - 4) : match.start()].rstrip()
    is_argument = before.endswith(_IN_PARENTHESES_OF_CALL)
    value = _bare(text, start, _UNTIL_SPACE_OR_SIGN, is_argument=is_argument)
    return None if value and text.startswith(("(", "[", "{"), value.end) else value


def _value_within_quotes(text: str, match: re.Match[str], start: int) -> _Value | None:
    """Return the value if quotes surround the whole assignment: ``-e 'DB_PASSWORD=two words'``."""
    mark = text[max(0, match.start() - 1) : match.start()]
    if match["sep"] != "=" or match["quote"] or mark not in ("'", '"'):
        return None
    value = _UNTIL_QUOTE[mark].match(text, start)
    if value is None or not text.startswith(mark, value.end()) or _MORE_SETTINGS.search(value[0]):
        return None
    return _Value(start, value.end(), is_quoted=True)


def _value_after_colon(text: str, start: int, match: re.Match[str], *, starts_line: bool) -> _Value | None:
    if match["quote"]:  # JSON, in which a number has no quotes, or YAML
        return _bare(text, start, _WORD_IN_PROSE)
    if starts_line and (block := _YAML_BLOCK.match(text, start)):
        return _yaml_block(text, block.end(), _indentation(text, match.start()))
    if starts_line and match["space"]:
        while tag := _YAML_TAG.match(text, start):
            start = tag.end()
        if quoted := _quoted_value(text, start):
            return quoted
        rest = _REST_OF_LINE.match(text, start)
        assert rest  # it also matches nothing
        value = _COMMENT.sub("", rest[0]).rstrip().rstrip(",;")
        if value and not re.search(r"\s", value):
            return _Value(start, start + len(value))
    value_in_prose = _bare(text, start, _WORD_IN_PROSE)
    return value_in_prose and _Value(value_in_prose.start, value_in_prose.end, must_look_generated=True)


def _value_on_line(text: str, start: int, match: re.Match[str]) -> _Value | None:
    """Return the value of a line of a settings file, of a shell, or of a command's option."""
    value = _bare(text, start, _UNTIL_SPACE)
    if value is None:
        return None
    word = text[value.start : value.end]
    end = value.start + len(word.rstrip(";,\"'`)") if not match["dashes"] else word.rstrip(";,\"'`)]}"))
    rest = _REST_OF_LINE.match(text, end)
    if _CALL_START.match(word) and (
        word.rstrip(";,").endswith((")", "]", "}"))
        or _CALL_START.fullmatch(word)
        or (word.count("(") > word.count(")") and rest and ")" in rest[0])
    ):
        return None  # password = get_password()
    if match["space"] and not match["dashes"] and rest and not _CODE_WORDS.search(rest[0]):
        line = _COMMENT.sub("", text[value.start : rest.end()]).rstrip()
        end = max(end, value.start + len(line))
    return _Value(value.start, end) if end > value.start else None


def _yaml_block(text: str, start: int, indentation: int) -> _Value | None:
    line = re.compile(rf"(?:[ \t]{{{indentation + 1},}}+[^\n]*+|[ \t]*+)(?:\n|$)")
    end = start
    while end < len(text) and (match := line.match(text, end)):
        end = match.end()
    value = text[start:end]
    first = start + len(value) - len(value.lstrip())
    return _Value(first, start + len(value.rstrip()), is_quoted=True) if value.strip() else None


def _quoted_value(text: str, start: int) -> _Value | None:
    opening = _OPENING_QUOTE.match(text, start)
    if opening is None:
        return None
    slashes, mark, begin = opening["slashes"], opening["mark"], opening.end()
    until = _UNTIL_QUOTE.get(mark)
    if until and not slashes:
        match = until.match(text, begin)
        assert match  # it also matches nothing
        return _Value(begin, match.end(), is_quoted=True)
    end = text.find(slashes + mark, begin)
    return _Value(begin, len(text) if end < 0 else end, is_quoted=True)


def _bare(text: str, start: int, until: re.Pattern[str], *, is_argument: bool = False) -> _Value | None:
    match = until.match(text, start)
    return _Value(start, match.end(), is_argument=is_argument) if match else None


def _is_secret(kind: SecretKind, text: str, value: _Value) -> bool:
    found = text[value.start : value.end]
    if not value.is_quoted and (len(found) < _MIN_BARE_LENGTH or is_code(kind, found, is_argument=value.is_argument)):
        return False
    if value.must_look_generated and not looks_like_a_password(found.rstrip(".:!?")):
        return False
    return is_secret_value(kind, found)


def _starts_line(text: str, start: int) -> bool:
    before = text[max(0, start - _BEFORE_ON_LINE) : start]
    _, line_break, on_line = before.rpartition("\n")
    return bool(line_break or start <= _BEFORE_ON_LINE) and _LINE_START.fullmatch(on_line) is not None


def _indentation(text: str, start: int) -> int:
    on_line = text[max(0, start - _BEFORE_ON_LINE) : start].rpartition("\n")[2]
    return len(on_line) - len(on_line.lstrip(" \t-"))


def _in_options(text: str) -> Iterator[Span]:
    for pattern in (_OPTION, _LISTED_OPTION):
        position = 0
        for match in pattern.finditer(text):
            kind = secret_kind_of_key(match[1]) if match.end() >= position else None
            value = kind and (_quoted_value(text, match.end()) or _bare(text, match.end(), _UNTIL_SPACE))
            if kind and value:
                position = value.end
                if _is_secret(kind, text, value):
                    yield Span(value.start, value.end, "secret", kind)


def _in_calls(text: str) -> Iterator[Span]:
    position = 0
    for match in _PAIR_IN_CALL.finditer(text):
        kind = secret_kind_of_key(match["key"]) if match.end() >= position else None
        value = kind and _quoted_value(text, match.end())
        if kind and value:
            position = value.end
            is_setter = _SETTERS.search(match["function"]) is not None
            if is_setter or looks_like_a_password(text[value.start : value.end]):
                yield from _span_if_secret(kind, text, value)
    for match in _SETTER_CALL.finditer(text):
        kind, value = secret_kind_of_key(match["key"]), _quoted_value(text, match.end())
        if kind and value:
            yield from _span_if_secret(kind, text, value)


def _in_named_values(text: str) -> Iterator[Span]:
    for match in _NAMED.finditer(text):
        kind = secret_kind_of_key(match["key"])
        value = kind and (_quoted_value(text, match.end()) or _bare(text, match.end(), _WORD_IN_PROSE))
        if kind and value:
            yield from _span_if_secret(kind, text, value)
    yield from _by_groups(text, _NAMED_AFTER)


def _by_groups(text: str, pattern: re.Pattern[str], *, must_look_generated: bool = False) -> Iterator[Span]:
    """Yield the group ``value`` of each match whose group ``key`` announces a secret."""
    for match in pattern.finditer(text):
        kind = secret_kind_of_key(match.groupdict().get("element") or match["key"])
        if kind:
            start, end = match.span("value")
            end = start + len(text[start:end].rstrip())
            value = _Value(start, end, is_quoted=True, must_look_generated=must_look_generated)
            yield from _span_if_secret(kind, text, value)


def _span_if_secret(kind: SecretKind, text: str, value: _Value) -> Iterator[Span]:
    if _is_secret(kind, text, value):
        yield Span(value.start, value.end, "secret", kind)
