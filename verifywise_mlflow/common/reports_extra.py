"""The extra ``reports``: the libraries for tables, packs and the report, which are imported on demand."""

from __future__ import annotations

from typing import Final

_MODULES: Final = frozenset(
    ("jinja2", "markupsafe", "packageurl", "pyarrow", "spdx_python_model", "typst", "vl_convert", "xlsxwriter")
)


def explain_missing(error: ModuleNotFoundError, what: str) -> str:
    """Return what to install, as the end of a sentence. The sentence begins with the feature that needs the library.

    Raises:
        ModuleNotFoundError: the module does not belong to the extra, so its absence is a defect.
    """
    module = (error.name or "").partition(".")[0]
    if module not in _MODULES:
        raise error
    return f"{what} needs {module}, which is not installed: pip install 'verifywise-mlflow[reports]'"
