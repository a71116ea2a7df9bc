"""Check the language of Markdown files and of Python comments and docstrings against tools/prose_rules.yaml.

``python tools/check_prose.py [PATH…]``, with paths in the repository; without paths, its documents, code and tests.
Exits with 1 if a phrase is found. Code in Markdown (fences, spans, HTML comments, link targets) is not checked, nor is
a phrase that begins on a line with ``<!-- prose: ok -->`` or ``# prose: ok``.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
RULES_FILE = ROOT / "tools" / "prose_rules.yaml"
FOLDERS = ("verifywise_mlflow", "verifywise_mlflow_tests", "benchmarks", "tools", "docs", ".github", ".gitlab")
NOT_PROSE = re.compile(r"`+[^`]*`+|<!--.*?-->|\]\([^)]*\)|https?://\S+", re.DOTALL)
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
SUPPRESSED = re.compile(r"prose: ok")


@dataclass(frozen=True)
class Rule:
    """A phrase to avoid."""

    pattern: re.Pattern[str]
    instead: str
    exception: re.Pattern[str] | None
    suffix: str | None
    """Files with another suffix are exempt; None if no file is exempt."""


def load_rules(path: Path = RULES_FILE) -> list[Rule]:
    """Return the rules of the file."""
    return [
        Rule(
            re.compile(rf"\b(?:{rule['pattern']})\b".replace(" ", r"\s+"), re.IGNORECASE),
            rule["instead"],
            re.compile(rule["except"], re.IGNORECASE) if "except" in rule else None,
            rule.get("only"),
        )
        for rule in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def markdown_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the text of a Markdown file without its code, as one part that starts at line 1."""
    yield 1, NOT_PROSE.sub(_blank, FENCE.sub(_blank, text))


def python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield each docstring and each comment, with the line at which it starts."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, NOT_PROSE.sub(_blank, node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], NOT_PROSE.sub(_blank, token.string)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def violations(path: Path, rules: list[Rule]) -> Iterator[str]:
    """Yield a sentence for each phrase to avoid in the file."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for start, part in (markdown_prose if path.suffix == ".md" else python_prose)(text):
        for rule in rules:
            if rule.suffix not in (None, path.suffix):
                continue
            for match in rule.pattern.finditer(part):
                line = start + part.count("\n", 0, match.start())
                around = part[match.start() : match.end() + 40]
                if rule.exception and rule.exception.match(around):
                    continue
                if not SUPPRESSED.search(lines[min(line, len(lines)) - 1]):
                    phrase = " ".join(match[0].split())
                    yield f"{path.relative_to(ROOT)}:{line}: “{phrase}”: write {rule.instead}"


def all_files() -> Iterator[Path]:
    """Yield the Markdown files of the repository's root, and the Markdown and Python files in ``FOLDERS``."""
    yield from ROOT.glob("*.md")
    for folder in FOLDERS:
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".md", ".py"))


def main(arguments: list[str]) -> int:
    """Print the violations in the files; return the exit code."""
    files = [Path(argument).resolve() for argument in arguments] or list(all_files())
    files = [nested for file in files for nested in (sorted(file.rglob("*")) if file.is_dir() else [file])]
    rules = load_rules()
    count = 0
    for file in files:
        if file.suffix in (".md", ".py"):
            for violation in violations(file, rules):
                count += 1
                print(violation)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
