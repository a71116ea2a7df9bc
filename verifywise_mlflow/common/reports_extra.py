"""The extra ``reports``: libraries of tables, packs and the report, which are imported on demand."""

from __future__ import annotations

from typing import Final

_MODULES: Final = frozenset(
    ("jinja2", "markupsafe", "packageurl", "pyarrow", "spdx_python_model", "typst", "vl_convert", "xlsxwriter")
)


def explain_missing(error: ModuleNotFoundError, what: str) -> str:
    """Return what to install, as the end of a sentence that begins with the feature that needs it.

    Raises:
        ModuleNotFoundError: the module does not belong to the extra, so its absence is a defect.
    """
    module = (error.name or "").partition(".")[0]
    if module not in _MODULES:
        raise error
    return f"{what} needs {module}, which is not installed: pip install 'verifywise-mlflow[reports]'"
