"""An export, verified by ``tools/verify_audit_export.py`` as a program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verifywise_mlflow_tests.support.documentation import ROOT

SCRIPT: Final = ROOT / "tools" / "verify_audit_export.py"


@dataclass
class Export:
    """An export file, and the files that an auditor has."""

    folder: Path
    options: list[str] = field(default_factory=list)

    def verified(self, exported: Sequence[str], *, isolated: bool = False) -> tuple[int, str]:
        """Run the script on lines; return its exit code and its output."""
        return self.verified_bytes("".join(f"{line}\n" for line in exported).encode(), isolated=isolated)

    def verified_bytes(self, exported: bytes, *, isolated: bool = False) -> tuple[int, str]:
        """Run the script on the bytes of a file; return its exit code and its output."""
        path = self.folder / "export.jsonl"
        path.write_bytes(exported)
        # -S hides installed packages; -O removes asserts.
        flags = ["-I", "-S"] if isolated else ["-I", "-O"]
        process = subprocess.run(
            [sys.executable, *flags, SCRIPT, path, *self.options], capture_output=True, text=True, check=False
        )
        return process.returncode, process.stdout + process.stderr

    def give(self, option: str, content: str) -> None:
        """Write a file into the auditor's folder."""
        path = self.folder / f"given-{len(self.options)}"
        path.write_text(content)
        self.options += [option, str(path)]
