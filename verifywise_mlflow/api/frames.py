"""Rows as pandas data frames. The types of the columns are the same even if there are no rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Final, TypeVar

from verifywise_mlflow.exports.table_columns import CellType, columns_of

try:
    import pandas as pd
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "data frames need pandas, which is not installed: pip install 'verifywise-mlflow[pandas]'", name=error.name
    ) from None

R = TypeVar("R")

_DTYPES: Final = {
    CellType.INTEGER: "Int64",
    CellType.NUMBER: "Float64",
    CellType.BOOLEAN: "boolean",
    CellType.TIME: "datetime64[us, UTC]",
}
"""The pandas types of columns: these types can represent a missing value. All other columns hold Python objects."""


def frame_of(row_type: type[R], rows: Iterable[R]) -> pd.DataFrame:
    """Return one row per object, with the columns that ``--output`` writes for the same rows."""
    listed = list(rows)
    return pd.DataFrame(
        {
            column.name: pd.Series([column.value(row) for row in listed], dtype=_DTYPES.get(column.type, "object"))
            for column in columns_of(row_type)
        }
    )


def frame_of_objects(row_type: type[R], rows: Iterable[R]) -> pd.DataFrame:
    """Return one row per object, with a column for each field. The values may have any type."""
    names = [field.name for field in fields(row_type)]  # type: ignore[arg-type]  # the callers' classes are dataclasses
    return pd.DataFrame([[getattr(row, name) for name in names] for row in rows], columns=names, dtype=object)
