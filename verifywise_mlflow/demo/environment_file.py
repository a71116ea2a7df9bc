"""The demo's environment variables as a file for shells, so that the command line can query the demo's database."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote


@contextmanager
def environment_file(file: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Provide the file while the block runs. It holds a password, so only its owner can read it."""
    lines = [f"export {name}={quote(value)}\n" for name, value in environment.items()]
    lines.append(f"export PATH={quote(str(Path(sys.executable).parent))}:$PATH\n")
    file.unlink(missing_ok=True)  # left by a demo that was killed
    file.touch(mode=0o600, exist_ok=False)
    file.write_text("".join(lines))
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
