"""A YAML file as its author wrote it: what it says, and in which line each thing stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from verifywise_mlflow.common.strict_yaml import UniqueKeyLoader


class UnreadableError(ValueError):
    """The file cannot be read, or is no YAML mapping. The message begins with the file and, where known, the line."""


class NotReachedError(UnreadableError):
    """There is no such file, or it may not be opened."""


LARGEST: Final = 2_000_000
"""Bytes of a file. 10,000 rules would fit, and what is larger was meant to be something else."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that holds a mapping."""

    path: Path
    document: Mapping[object, object]
    tree: yaml.Node
    """The same as nodes, which know their lines."""

    def line(self, place: tuple[str | int, ...]) -> int:
        """Return the line in which a place stands, or of the innermost part of it that is there; the first is 1."""
        node, line = self.tree, self.tree.start_mark.line
        for part in place:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == part]
                if not found:
                    break
                key, node = found[0]
                line = key.start_mark.line
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1


def read_written(path: Path, *, expected: str) -> WrittenFile:
    """Return what a file says.

    Args:
        path: of the file.
        expected: what to write at the file's top, for whoever wrote something else.

    Raises:
        NotReachedError: the file is missing, or may not be opened.
        UnreadableError: it is no UTF-8, no YAML, no mapping, too large or too deep, or has an alias.
    """
    text = _text(path)
    try:
        loader = _PlainLoader(text)
        tree = loader.get_single_node()
        document = loader.construct_document(tree) if tree else None
    except RecursionError as error:
        raise UnreadableError(f"{path}: has too much within one another: write it flatter") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UnreadableError(f"{path}:{line}: is not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(f"{path}:{line}: is not YAML: it holds the character U+{error.character:04X}") from error
    if not isinstance(document, Mapping) or tree is None:
        raise UnreadableError(f"{path}: {expected}")
    return WrittenFile(path, document, tree)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            written = file.read(LARGEST + 1)
    except OSError as error:
        raise NotReachedError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null byte
        raise NotReachedError(f"{str(path)!r}: cannot be read: no file can have such a name") from error
    if len(written) > LARGEST:
        raise UnreadableError(f"{path}: has more than {LARGEST:,} bytes: write it as several files")
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError as error:
        line = written.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"{path}:{line}: is not UTF-8 text: save it as UTF-8") from error


class _PlainLoader(UniqueKeyLoader):
    """Takes what people write, and says where it is wrong."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases: ten lines of them can stand for a billion values."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it without types
            raise yaml.MarkedYAMLError(
                problem="an alias (*) is not taken here: write out what it stands for", problem_mark=mark
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Tell the line of what cannot be, as 2026-13-01 and a number of thousands of digits."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            what = f"what stands here is no value that there can be ({error}); mend it, or put it in quotes"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark) from error
