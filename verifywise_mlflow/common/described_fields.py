"""The pydantic setting that copies the docstrings of a class's fields into its JSON Schema."""

from __future__ import annotations

from typing import Final

from pydantic import ConfigDict

DESCRIBED: Final = ConfigDict(use_attribute_docstrings=True)
"""The value for ``__pydantic_config__`` of a dataclass. It makes pydantic read the docstrings after the fields."""
