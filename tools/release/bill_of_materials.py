"""The software bill of materials of a plain installation: the wheel and the locked packages that it needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tools.release import ReleaseError
from tools.release.commands import output_of
from tools.release.installation import Installation

DYNAMIC_VERSION = re.compile(r'^dynamic = \["version"\]$', re.MULTILINE)


def write_bill_of_materials(
    installation: Installation, program: Path, project: Path, version: str, output: Path
) -> None:
    """Write the list of installed packages as CycloneDX.

    Args:
        installation: The environment with the wheel and requirements/base.txt.
        program: The ``cyclonedx-py`` of the environment that was installed from requirements/sbom.txt.
        project: pyproject.toml.
        version: The version of the release. The program reads it from a copy of pyproject.toml, since the original has
            no version.
        output: The file to write.

    Raises:
        ReleaseError: The program fails, or the file describes another release.
    """
    with_version = output.with_suffix(".toml")
    text = project.read_text(encoding="utf-8")
    with_version.write_text(DYNAMIC_VERSION.sub(f'version = "{version}"', text), encoding="utf-8")
    output_of(
        program, "environment", "--output-reproducible", "--output-format", "JSON", "--mc-type", "application",
        "--pyproject", with_version, "--output-file", output, installation.environment / "bin" / "python",
        cwd=output.parent,
    )  # fmt: skip
    with_version.unlink()
    described = json.loads(output.read_text(encoding="utf-8"))["metadata"]["component"]
    if (described["name"], described.get("version")) != ("verifywise-mlflow", version):
        raise ReleaseError(f"the bill of materials describes {described}, expected verifywise-mlflow {version}")
