"""Finds the imports of a script for outsiders, who run it without installing anything."""

from __future__ import annotations

import ast
from pathlib import Path


def imported_packages(script: Path) -> set[str]:
    """Return the packages that a script imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return {name.split(".")[0] for name in names}
