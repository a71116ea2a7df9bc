"""The canonical record is defined once: everything that lists its fields is derived from ``CanonicalRecord``."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from cel_expr_python import cel

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.rules.cel_variables import environment
from verifywise_mlflow.defs.assets.column_schema import column_schema
from verifywise_mlflow.normalizer.field_spec import FieldType
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.record import (
    FIELD_SPECS,
    FIELDS,
    FIELDS_BY_GROUP,
    NORMAL_FORMS,
    PRECEDENCE_FIELDS,
    TAG_FIELDS,
    CanonicalRecord,
)
from verifywise_mlflow.persistence.tables import canonical_record_history, canonical_records

PRODUCT = Path(__file__).parents[2] / "verifywise_mlflow"

SQL_TYPES = {
    FieldType.TEXT: "TEXT",
    FieldType.INTEGER: "INTEGER",
    FieldType.TIMESTAMP: "DATETIME",
    FieldType.JSON_OBJECT: "JSON",
    FieldType.JSON_LIST: "JSONB",
}
PYTHON_TYPES = {
    FieldType.TEXT: ("str", "str | None"),
    FieldType.INTEGER: ("int",),
    FieldType.TIMESTAMP: ("datetime | None",),
    FieldType.JSON_OBJECT: ("Mapping[str, float] | None", "Mapping[str, str] | None", "Json"),
    FieldType.JSON_LIST: ("Json",),
}


def test_every_field_has_a_definition_in_the_order_of_the_model() -> None:
    assert tuple(field.name for field in fields(CanonicalRecord)) == FIELDS
    assert [name for name, spec in FIELD_SPECS.items() if not spec.description.endswith(".")] == []


@pytest.mark.parametrize("field", fields(CanonicalRecord), ids=lambda field: field.name)
def test_the_declared_type_fits_the_python_type(field) -> None:  # type: ignore[no-untyped-def]  # a dataclass's field
    spec = FIELD_SPECS[field.name]

    python_type = re.split(r", \w+\(", str(field.type).removeprefix("Annotated["), maxsplit=1)[0]

    assert python_type in PYTHON_TYPES[spec.type]
    assert spec.is_key == (python_type in ("str", "int"))


@pytest.mark.parametrize("table", [canonical_records, canonical_record_history], ids=lambda table: table.name)
def test_the_sql_columns_are_the_fields(table) -> None:  # type: ignore[no-untyped-def]  # an SQLAlchemy table
    columns = [column for column in table.columns if column.name in FIELDS]

    assert tuple(column.name for column in columns) == FIELDS
    for column in columns:
        assert column.type.compile().split("(")[0] == SQL_TYPES[FIELD_SPECS[column.name].type]
        assert column.primary_key == FIELD_SPECS[column.name].is_key
        assert column.nullable != FIELD_SPECS[column.name].is_key


def test_the_cel_variables_are_the_fields() -> None:
    types = {
        FieldType.TEXT: cel.Type.STRING,
        FieldType.INTEGER: cel.Type.INT,
        FieldType.TIMESTAMP: cel.Type.TIMESTAMP,
        FieldType.JSON_OBJECT: cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        FieldType.JSON_LIST: cel.Type.List(cel.Type.DYN),
    }

    for name, spec in FIELD_SPECS.items():
        assert environment().compile(name).return_type() == types[spec.type], name


def test_the_dagster_columns_have_the_descriptions_of_the_fields() -> None:
    descriptions = {column.name: column.description for column in column_schema(Stage.CANONICAL_RECORDS).columns}

    assert {name: descriptions[name] for name in FIELDS} == {
        name: spec.description for name, spec in FIELD_SPECS.items()
    }


def test_the_groups_hold_every_field_in_order() -> None:
    assert tuple(name for names in FIELDS_BY_GROUP.values() for name in names) == FIELDS


def test_the_default_mapping_covers_the_fields_that_tags_and_attributes_fill() -> None:
    default = default_mapping()

    assert set(default.synonyms) == set(TAG_FIELDS)
    assert set(default.precedence) == set(PRECEDENCE_FIELDS)
    assert set(default.values) == set(NORMAL_FORMS)


def test_no_other_product_module_lists_the_fields() -> None:
    """A field that no code treats specially is named in the record, the mapping and the migration, and nowhere else.

    Documents for people choose what they show, and in which order.
    """
    modules = {
        path.relative_to(PRODUCT).as_posix()
        for path in PRODUCT.rglob("*.py")
        if "human_oversight_status" in path.read_text(encoding="utf-8")
    }

    documents = {"documents/version/identity.py", "documents/pack/cyclonedx.py"}
    assert modules <= {"normalizer/record.py", *documents}
