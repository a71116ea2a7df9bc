"""The edges of a lineage graph as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.services.lineage_graph import (
    AgentNode,
    DatasetNode,
    FilesNode,
    LineageGraph,
    LineageNode,
    PromptNode,
    RunNode,
)

NodeKind: TypeAlias = Literal["dataset", "run", "prompt", "agent", "version", "files"]


@dataclass(frozen=True, slots=True)
class LineageRow:
    """One edge: ``to`` was made from ``from``."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    from_kind: NodeKind
    """dataset, run, prompt, agent or version."""
    from_name: str | None
    """The data set's name or source, the run's ID, the agent's name or ID, or the name of the model or prompt and the
    number of the version."""
    from_digest: str | None
    """MLflow's digest of a data set, or the SHA-256 of a prompt's template; null for other kinds."""
    to_kind: NodeKind
    """run, agent, version or files."""
    to_name: str | None
    """The run's ID, the agent's name or ID, the model and the number of the version, or where the files are."""
    to_digest: str | None
    """The hash over all paths and hashes of the files; null for other kinds, and if a file is not hashed."""
    use: str | None
    """What a run used a data set for, such as training, or the alias that names a prompt."""
    shared: bool
    """Whether the edge starts at a data set that several models of the tenant use."""


def lineage_rows(graph: LineageGraph) -> Iterator[LineageRow]:
    """Yield a row for each edge, in the order of the graph."""
    nodes = {node.id: node for node in graph.nodes}
    for edge in graph.edges:
        source, target = nodes[edge.source], nodes[edge.target]
        yield LineageRow(
            *(source.kind, _name(source), _digest(source)),
            *(target.kind, _name(target), _digest(target)),
            use=edge.label,
            shared=isinstance(source, DatasetNode) and source.shared,
        )


def _name(node: LineageNode) -> str | None:
    match node:
        case DatasetNode():
            return node.name or node.source
        case RunNode():
            return node.run_id
        case FilesNode():
            return node.location
        case AgentNode():
            return node.name or node.model_id
        case PromptNode():
            return f"{node.name} {node.version_number}" if node.version_number is not None else node.name
        case _:
            return f"{node.model_name} {node.version_number}"


def _digest(node: LineageNode) -> str | None:
    if isinstance(node, PromptNode):
        return node.template_sha256
    return node.digest if isinstance(node, DatasetNode | FilesNode) else None
