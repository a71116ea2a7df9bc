"""Generate the parts of docs/reference/python.md from the docstrings of the public API.

``python -m verifywise_mlflow_tests.api.python_page`` writes them into the page.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping

import verifywise_mlflow as vm
from verifywise_mlflow.api.rows import TenantRow
from verifywise_mlflow.exports.table_columns import columns_of
from verifywise_mlflow.services.comparison import ComparedValue
from verifywise_mlflow.services.gaps import Gap
from verifywise_mlflow.services.inventory import InventoryRow
from verifywise_mlflow_tests.support.documentation import write_generated_part

PAGE = "reference/python.md"

TABLES: Mapping[str, type] = {
    "tenants": TenantRow,
    "inventory": InventoryRow,
    "gaps": Gap,
    "compare": ComparedValue,
}
"""The methods that return a table with columns of their own, and the class of its rows."""


def methods() -> dict[str, Callable[..., object]]:
    """Return the public methods of the client by name, in the order of the source."""
    return {name: member for name, member in vars(vm.Client).items() if inspect.isfunction(member) and name[0] != "_"}


def functions() -> Iterator[str]:
    """Yield the description of ``connect``, of the client and of its methods."""
    yield "### connect"
    yield from _described("connect", vm.connect)
    yield "### Client"
    yield ""
    yield _prose(inspect.getdoc(vm.Client) or "")
    yield ""
    for name, method in methods().items():
        yield f"### Client.{name}"
        yield from _described(name, method)


def values() -> Iterator[str]:
    """Yield a table of the fields of each value."""
    for value in (vm.VersionRecord, vm.Verdict, vm.Lineage):
        yield f"### {value.__name__}"
        yield ""
        yield _prose(inspect.getdoc(value) or "")
        yield ""
        yield "| field | meaning |"
        yield "|---|---|"
        yield from (f"| `{name}` | {_cell(field.description)} |" for name, field in value.model_fields.items())
        yield ""
        for name, member in vars(value).items():
            if (inspect.isfunction(member) or isinstance(member, property)) and name[0] != "_":
                call = name if isinstance(member, property) else f"{name}()"
                yield f"- `{call}`: {_prose(inspect.getdoc(member) or '')}"
        yield ""


def tables() -> Iterator[str]:
    """Yield the columns of each table."""
    for name, row_type in TABLES.items():
        yield f"### Columns of {name}"
        yield ""
        yield "| column | type | meaning |"
        yield "|---|---|---|"
        for column in columns_of(row_type):
            yield f"| `{column.name}` | {column.type.value} | {_cell(column.description)} |"
        yield ""


def errors() -> Iterator[str]:
    """Yield a row for each error."""
    yield "| error | raised when |"
    yield "|---|---|"
    for name in vm.__all__:
        member = getattr(vm, name)
        if isinstance(member, type) and issubclass(member, vm.VerifyWiseError):
            yield f"| `{name}` | {_cell(inspect.getdoc(member))} |"


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "functions": functions,
    "values": values,
    "tables": tables,
    "errors": errors,
}


def _described(name: str, function: Callable[..., object]) -> Iterator[str]:
    signature = inspect.signature(function)
    shown = signature.replace(parameters=[value for key, value in signature.parameters.items() if key != "self"])
    yield ""
    yield "```python"
    yield f"{name}{_readable(shown)}"
    yield "```"
    yield ""
    yield _prose(inspect.getdoc(function) or "")
    yield ""


def _readable(signature: inspect.Signature) -> str:
    """Return a signature with a parameter per line if it is long."""
    text = str(signature).replace("'", "").replace("pd.DataFrame", "pandas.DataFrame")
    if len(text) < 90:
        return text
    parameters = "".join(f"    {str(value).replace(chr(39), '')},\n" for value in signature.parameters.values())
    return f"(\n{parameters}) -> {str(signature.return_annotation).replace('pd.', 'pandas.').strip(chr(39))}"


def _prose(docstring: str) -> str:
    """Return a docstring as Markdown: sections become bold, their entries a list."""
    text = docstring.replace("``", "`")
    text = text.replace("Args:\n", "**Parameters**\n\n").replace("Raises:\n", "**Raises**\n\n")
    text = re.sub(r"\n {8,}", " ", text)  # the continuation of an entry
    text = re.sub(r"^ {4}(\w+): ", r"- `\1`: ", text, flags=re.MULTILINE)
    return re.sub(r"\n {2,}", " ", text)


def _cell(text: str | None) -> str:
    return " ".join((text or "").replace("``", "`").replace("|", "\\|").split())


if __name__ == "__main__":
    for part, lines in PARTS.items():
        write_generated_part(PAGE, part, lines())
