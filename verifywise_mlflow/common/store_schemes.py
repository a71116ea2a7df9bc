"""The schemes of the object stores in which MLflow keeps files, and whose files can be read directly."""

from __future__ import annotations

from typing import Final

AZURE_SCHEMES: Final = ("abfss", "wasbs")
OBJECT_STORE_SCHEMES: Final = ("s3", "gs", *AZURE_SCHEMES)
