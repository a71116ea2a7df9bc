"""The documentation as tests read it: pages, their code blocks and their generated tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def read_page(name: str) -> str:
    """Return the text of a page, named by its path below docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def code_blocks(text: str, language: str) -> list[str]:
    """Return the content of each fenced code block of the language, without common indentation."""
    return [
        re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)
        for indent, block in re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    ]


def commands(text: str) -> list[str]:
    """Return the verifywise-mlflow commands in the console blocks of a text, without comments and redirections."""
    return [
        line.partition("  #")[0].split(" > ")[0].strip()
        for block in code_blocks(text, "console")
        for line in block.splitlines()
        if line.startswith("verifywise-mlflow ")
    ]


def generated_part(text: str, name: str) -> str:
    """Return the text between the comments ``<!-- name -->`` and ``<!-- end of name -->``."""
    (part,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", text, re.DOTALL)
    return str(part)


def write_generated_part(page: str, name: str, lines: Iterable[str]) -> None:
    """Replace the text between the comments of a part in a page."""
    text = read_page(page)
    start_marker, end_marker = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    replaced = text.replace(
        start_marker + generated_part(text, name) + end_marker, start_marker + "\n".join(lines) + end_marker
    )
    (DOCS / page).write_text(replaced, encoding="utf-8")
