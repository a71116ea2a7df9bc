"""Unpacked packs: write them, run their ``verify.py``, and forge them as somebody can who has the whole folder."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

Documents = dict[str, Any]
"""The JSON files of a pack, by their names without the ending."""
Forgery = Callable[[Documents], object]
"""Changes the documents in place."""

DOCUMENTS: Final = ("record", "verdicts", "proof", "state-proof")


def unpack(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write the files of a pack into a new folder; return the folder."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a Python that sees no package."""
    command = [sys.executable, "-I", "-S", str(folder / "verify.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def forge(folder: Path, forgery: Forgery) -> None:
    """Change documents, and adapt what the pack states about itself: the record's hash and all checksums."""
    documents = {name: json.loads((folder / f"{name}.json").read_text()) for name in DOCUMENTS}
    forgery(documents)
    canonical = json.dumps(documents["record"]["record"], sort_keys=True, separators=(",", ":"))
    documents["proof"]["record_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    write_checksums(folder)


def write_checksums(folder: Path) -> None:
    """Adapt the checksums to the files."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = (f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text("".join(lines))
