"""A YAML file as its author wrote it: what it says, and in which line each thing stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from verifywise_mlflow.strict_yaml import UniqueKeyLoader


class UnreadableError(ValueError):
    """The file cannot be read, or is no YAML mapping. The message begins with the file and, where known, the line."""


class NotReachedError(UnreadableError):
    """There is no such file, or it may not be opened."""


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
        UnreadableError: it is no UTF-8, no YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=UniqueKeyLoader)
        document = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise NotReachedError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path}: is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UnreadableError(f"{path}:{line}: is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:  # a character that YAML does not allow; a date such as 2026-13-01
        raise UnreadableError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, Mapping) or tree is None:
        raise UnreadableError(f"{path}: {expected}")
    return WrittenFile(path, document, tree)
