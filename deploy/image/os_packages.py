"""Adds Debian's packages to the software bill of materials of the image's Python packages.

``python os_packages.py sbom.json packages.tsv /etc/os-release``. A line of packages.tsv is what
``dpkg-query --show --showformat '${Package}\\t${Version}\\t${Architecture}\\n'`` prints in the base image. The file is
rewritten in place. Runs once, while the image is built, with the Python that the SBOM tool is installed for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import quote


def distribution_of(os_release: str) -> tuple[str, str]:
    """Return the distribution's name and version from the text of /etc/os-release."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return values.get("ID", "linux").strip('"'), values.get("VERSION_ID", "").strip('"')


def component(line: str, distribution: tuple[str, str]) -> dict[str, object]:
    """Return one package as a CycloneDX component whose package URL scanners understand."""
    package, version, architecture = line.split("\t")
    name, release = distribution
    qualifiers = f"arch={architecture}" + (f"&distro={name}-{release}" if release else "")
    purl = f"pkg:deb/{name}/{quote(package, safe='')}@{quote(version, safe='')}?{qualifiers}"
    return {"type": "library", "bom-ref": purl, "name": package, "version": version, "purl": purl}


def main() -> None:
    """Rewrite the file."""
    sbom, packages, os_release = (Path(argument) for argument in sys.argv[1:4])
    bom = json.loads(sbom.read_text(encoding="utf-8"))
    distribution = distribution_of(os_release.read_text(encoding="utf-8"))
    lines = sorted(set(packages.read_text(encoding="utf-8").splitlines()))
    bom["components"] += [component(line, distribution) for line in lines]
    sbom.write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
