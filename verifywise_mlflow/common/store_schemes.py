"""The URI schemes of the object stores in which MLflow stores files and from which we can read files directly."""

from __future__ import annotations

from typing import Final

AZURE_SCHEMES: Final = ("abfss", "wasbs")
OBJECT_STORE_SCHEMES: Final = ("s3", "gs", *AZURE_SCHEMES)
