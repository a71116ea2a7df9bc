"""The files of the site. Names of models and rules become file names that every file system and URL accepts."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

STYLES: Final = "assets/report.css"
SCRIPT: Final = "assets/report.js"
THEME_SCRIPT: Final = "assets/theme.js"
START: Final = "index.html"
MANIFEST: Final = "report.json"
"""The file with the site's manifest. Another report may replace a folder that has this file."""
_MAX_READABLE: Final = 40
_DIGEST_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class TenantPaths:
    """The pages of a tenant, relative to the root of the site."""

    tenant_id: str
    is_only: bool
    """Whether the site has no other tenant. Its first page is then the portfolio of this tenant."""

    @property
    def folder(self) -> str:
        """The folder of all other pages."""
        return f"tenants/{self.tenant_id}"

    @property
    def portfolio(self) -> str:
        """The portfolio at a glance."""
        return START if self.is_only else f"{self.folder}/index.html"

    @property
    def gaps(self) -> str:
        """The list of gaps."""
        return f"{self.folder}/gaps.html"

    @property
    def coverage(self) -> str:
        """The coverage of frameworks."""
        return f"{self.folder}/coverage.html"

    @property
    def systems(self) -> str:
        """The AI systems."""
        return f"{self.folder}/systems.html"

    @property
    def completeness(self) -> str:
        """What was read, and what was not."""
        return f"{self.folder}/completeness.html"

    @property
    def search_entries(self) -> str:
        """The script with the entries of the search."""
        return f"{self.folder}/search-entries.js"

    def models(self, page: int = 1) -> str:
        """Return a page of the inventory."""
        return f"{self.folder}/models{'' if page == 1 else f'-{page}'}.html"

    def model(self, model_name: str) -> str:
        """Return the page of a model."""
        return f"{self.folder}/models/{file_name(model_name)}.html"

    def version(self, model_name: str, version_number: int) -> str:
        """Return the page of a version."""
        return f"{self.folder}/versions/{file_name(model_name)}/{version_number}.html"

    def rule(self, rule_id: str) -> str:
        """Return the page of a rule's gaps."""
        return f"{self.folder}/rules/{file_name(rule_id)}.html"


def file_name(name: str) -> str:
    """Return a file name, without an ending, for any text: a readable part, and a hash for similar texts."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    ascii_name = unicodedata.normalize("NFKD", name[: 4 * _MAX_READABLE]).encode("ascii", "ignore").decode("ascii")
    readable = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower())[:_MAX_READABLE].strip("-")
    return f"{readable}-{digest}" if readable else digest


def to_root(path: str) -> str:
    """Return the relative path from a page to the root of the site: empty, or ``../`` once or several times."""
    return "../" * path.count("/")
