"""The caption of a node in a lineage graph: a title and up to two further lines, each safe for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.services.lineage_graph import (
    AgentNode,
    DatasetNode,
    FilesNode,
    LineageNode,
    PromptNode,
    RunNode,
    VersionNode,
)

MAX_CAPTION_LENGTH: Final = 80

KIND_TITLES: Final = {
    "dataset": "data sets",
    "run": "training runs",
    "prompt": "prompts",
    "agent": "agents",
    "version": "versions",
    "files": "files",
}
"""The kinds of nodes in the order of the lineage, each with its heading."""


@dataclass(frozen=True, slots=True)
class Caption:
    """The text of a node. Markup in it is not escaped."""

    title: str
    details: tuple[str, ...]


def caption(node: LineageNode) -> Caption:
    """Return the caption of a node."""
    match node:
        case DatasetNode():
            title, details = (
                node.name or node.source or "data set without a name",
                [node.digest and f"digest {node.digest}"],
            )
            details.append("shared by several models" if node.shared else None)
        case RunNode():
            title, details = f"run {node.run_id}", [node.experiment_name and f"experiment {node.experiment_name}"]
        case PromptNode():
            number = "" if node.version_number is None else f" {node.version_number}"
            title, details = f"prompt {node.name}{number}", [None if node.state == "found" else node.state]
            details.append(node.template_sha256 and f"SHA-256 {node.template_sha256[:16]}…")
        case AgentNode():
            title, details = f"agent {node.name or node.model_id}", [node.model_id if node.name else None]
        case VersionNode():
            title = f"{node.model_name} {node.version_number}"
            details = [node.lifecycle_stage, ", ".join(f"@{alias}" for alias in node.aliases)]
        case FilesNode():
            title, details = _file_count(node.file_count), [node.digest and f"SHA-256 {node.digest[:16]}…"]
            details.append(None if node.total_bytes is None else f"{node.total_bytes:,} bytes")
    return Caption(
        excerpt(title, MAX_CAPTION_LENGTH), tuple(excerpt(text, MAX_CAPTION_LENGTH) for text in details if text)
    )


def _file_count(count: int | None) -> str:
    if count is None:
        return "files that could not be listed"
    return "1 file" if count == 1 else f"{count:,} files"
