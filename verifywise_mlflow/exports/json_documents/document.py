"""The base of the versioned JSON documents: the values that are printed, and their JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter

from verifywise_mlflow.common.described_fields import DESCRIBED

_ID_PREFIX: Final = "tag:verifywise.ai,2026:mlflow/documents/"


class JsonDocument(BaseModel):
    """A JSON document with a published schema. Its fields are the members of the printed object."""

    model_config = ConfigDict(**DESCRIBED, frozen=True)

    NAME: ClassVar[str]
    """The name, such as ``inventory``."""
    VERSION: ClassVar[int] = 1
    """Increase it with a change that could break a reader."""

    @classmethod
    def schema_name(cls) -> str:
        """Return the name with the version, such as ``inventory.v1``: the file's name without its ending."""
        return f"{cls.NAME}.v{cls.VERSION}"

    @classmethod
    def schema_id(cls) -> str:
        """Return the ``$id`` of the schema, which each document states in ``schema``."""
        return f"{_ID_PREFIX}{cls.schema_name()}"

    def to_json(self) -> dict[str, object]:
        """Return the document as JSON values, with the name of its schema first."""
        return {"schema": self.schema_id(), **self.model_dump(mode="json", by_alias=True)}

    def chunks(self, member: str, items: Iterable[object]) -> Iterator[str]:
        """Yield the document's text. One member may have any number of items: memory does not grow with their number.

        Args:
            member: The field for the items. Its type is a tuple, which is empty in this document.
            items: The items, each of the field's type.
        """
        item = TypeAdapter[object](get_args(type(self).model_fields[member].annotation)[0])
        texts = (json.dumps(item.dump_python(value, mode="json")) for value in items)
        first = next(texts, "")  # so a wrong name in a filter raises before anything is printed
        head = {name: value for name, value in self.to_json().items() if name != member}
        yield f"{json.dumps(head)[:-1]}, {json.dumps(member)}: [{first}"
        for text in texts:
            yield f", {text}"
        yield "]}"


def json_schema(document: type[JsonDocument]) -> dict[str, Any]:  # Any: a schema is JSON of many shapes
    """Return the JSON Schema of a printed document. A reader must accept members that a later release adds."""
    generated = document.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": document.schema_id(),
        **_plain(generated),
        "title": document.NAME,
        "required": ["schema", *generated.get("required", ())],
        "properties": {
            "schema": {"const": document.schema_id(), "description": "The schema of this document, which is its $id."},
            **_plain(generated["properties"]),
        },
    }


def _plain(schema: Any) -> Any:
    """Return the schema without pydantic's titles, which repeat the members' names, and descriptions on one line."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A member may be called "title" or "description". Its value is then a schema, not a text.
    plain = {name: _plain(value) for name, value in schema.items() if name != "title" or not isinstance(value, str)}
    if isinstance(text := plain.get("description"), str):
        plain["description"] = " ".join(text.split())
    return plain
