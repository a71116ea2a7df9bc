"""``--version``: the installed release, and for an editable installation the commit of the checkout."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "verifywise-mlflow"


def version_line() -> str:
    """Return the name and the version of the installed package.

    An editable installation keeps the version of the commit at which it was installed, but runs the present code of the
    checkout. So the line also describes the checkout.
    """
    installed = distribution(DISTRIBUTION)
    line = f"{DISTRIBUTION} {installed.version}"
    checkout = editable_checkout(installed.read_text("direct_url.json"))
    return line if checkout is None else f"{line} (editable: {checkout} is at {describe_commit(checkout)})"


def editable_checkout(direct_url: str | None) -> Path | None:
    """Return the folder of an editable installation, or None.

    Args:
        direct_url: The text of ``direct_url.json`` in the package's metadata, which PEP 610 specifies.
    """
    origin = json.loads(direct_url) if direct_url else {}
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def describe_commit(checkout: Path) -> str:
    """Return a checkout's last tag, the number of commits since, the commit, and whether files were changed."""
    command = ["git", "-C", str(checkout), "describe", "--tags", "--always", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # no input
    except (OSError, subprocess.CalledProcessError):
        return "an unknown commit"
    return described.stdout.strip()
