"""A YAML file with the line of each value, so that error messages can name the line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from verifywise_mlflow.common.strict_yaml import IMPOSSIBLE_VALUE_ERRORS, PackagedFileLoader, UniqueKeyLoader


class YamlSourceError(ValueError):
    """The file cannot be read, or is not a YAML mapping. The message begins with the file and, if known, the line."""


class YamlFileNotFoundError(YamlSourceError):
    """The file does not exist, or may not be opened."""


_PACKAGE: Final = Path(__file__).parent
"""The folder with the default policy and the frameworks."""

MAX_FILE_BYTES: Final = 2_000_000
"""The maximum size of a file. 10,000 rules fit into this size; a larger file is probably no policy."""


@dataclass(frozen=True, slots=True)
class YamlSource:
    """A file that contains a mapping."""

    path: Path
    document: Mapping[object, object]
    root_node: yaml.Node
    """The document as nodes, which have line numbers."""

    def line_of(self, location: tuple[str | int, ...]) -> int:
        """Return the line of a location, or of the innermost part of it that exists; the first line is 1."""
        node, line = self.root_node, self.root_node.start_mark.line
        for part in location:
            if isinstance(node, yaml.MappingNode):
                matches = [(key, value) for key, value in node.value if key.value == part]
                if not matches:
                    break
                key, node = matches[0]
                line = key.start_mark.line
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1


def read_yaml_source(path: Path, *, expected: str, omitted_key: str = "") -> YamlSource:
    """Return the content of a file.

    Args:
        path: the file.
        expected: what to write at the top level; it is the error message for a file that is not a mapping.
        omitted_key: a key that is left out of the items of the file's lists.

    Raises:
        YamlFileNotFoundError: the file is missing, or may not be opened.
        YamlSourceError: the file is not UTF-8, YAML or a mapping, is too large or too deeply nested, or uses an alias.
    """
    text = _text(path)
    try:
        loader = PackagedFileLoader(text) if path.is_relative_to(_PACKAGE) else _LocatingLoader(text)
        root_node = loader.get_single_node()
        if omitted_key and isinstance(root_node, yaml.MappingNode):
            _omit(root_node, omitted_key)
        document = loader.construct_document(root_node) if root_node else None
    except RecursionError as error:
        raise YamlSourceError(f"{path}: is nested too deeply: write it flatter") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlSourceError(f"{path}:{line}: is not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlSourceError(
            f"{path}:{line}: is not YAML: it contains the character U+{error.character:04X}, which YAML does not allow"
        ) from error
    if not isinstance(document, Mapping) or root_node is None:
        raise YamlSourceError(f"{path}: {expected}")
    return YamlSource(path, document, root_node)


def _omit(root_node: yaml.MappingNode, key: str) -> None:
    """Remove a key before its values are constructed: construction takes most of the time."""
    for _, items in root_node.value:
        for item in items.value if isinstance(items, yaml.SequenceNode) else ():
            if isinstance(item, yaml.MappingNode):
                item.value = [pair for pair in item.value if pair[0].value != key]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise YamlFileNotFoundError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null byte
        raise YamlFileNotFoundError(f"{str(path)!r}: cannot be read: no file can have such a name") from error
    if len(content) > MAX_FILE_BYTES:
        raise YamlSourceError(f"{path}: has more than {MAX_FILE_BYTES:,} bytes: split it into several files")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlSourceError(f"{path}:{line}: is not UTF-8 text: save it as UTF-8") from error


class _LocatingLoader(UniqueKeyLoader):
    """Loads YAML that people write, and reports the line of each error."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Reject aliases: ten lines of aliases can expand to a billion values."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it untyped
            raise yaml.MarkedYAMLError(
                problem="an alias (*) is not allowed here: write out its value", problem_mark=mark
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Report the line of impossible values, such as 2026-13-01 or a number with thousands of digits."""
        try:
            return super().construct_object(node, deep)
        except IMPOSSIBLE_VALUE_ERRORS as error:
            problem = f"this value is impossible ({error}): correct it, or quote it"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error
