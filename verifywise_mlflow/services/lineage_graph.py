"""The lineage of a tenant's versions as a graph: data set → run → version → files, and prompt → agent → version.

A graph has at most the requested number of nodes. A sentence states how many versions are left out, and which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.persistence.queries import training_lineage
from verifywise_mlflow.persistence.queries.training_lineage import DatasetKey, VersionLineage
from verifywise_mlflow.persistence.session import TenantSession

MAX_NODES: Final = 2_000
"""The maximum number of nodes that can be requested. The layout of a larger graph takes seconds, and nobody reads
it."""
DEFAULT_NODES: Final = 200


@dataclass(frozen=True, slots=True)
class DatasetNode:
    """A data set that runs logged as an input. The data itself is never read."""

    __pydantic_config__ = DESCRIBED

    id: str
    """The identity within this graph, which edges refer to."""
    name: str | None
    """The name in MLflow."""
    digest: str | None
    """MLflow's digest. Data sets with the same digest are one node."""
    source_type: str | None
    """The kind of source, as the client wrote it."""
    source: str | None
    """Where the data is, as the client wrote it."""
    shared: bool
    """Whether several models of the tenant use it."""
    kind: Literal["dataset"] = "dataset"
    """The kind of node."""


@dataclass(frozen=True, slots=True)
class RunNode:
    """A training run."""

    __pydantic_config__ = DESCRIBED

    id: str
    """The identity within this graph."""
    run_id: str
    """The run's ID in MLflow."""
    experiment_name: str | None
    """The run's experiment."""
    kind: Literal["run"] = "run"
    """The kind of node."""


@dataclass(frozen=True, slots=True)
class PromptNode:
    """A version of a prompt that model versions name."""

    __pydantic_config__ = DESCRIBED

    id: str
    """The identity within this graph."""
    name: str
    """The prompt's name."""
    version_number: int | None
    """The version of the prompt; null if no version is named, or if the alias points to no version."""
    state: str
    """found, deleted, not in the registry, or without version."""
    template_sha256: str | None
    """SHA-256 of the template, which is not stored."""
    kind: Literal["prompt"] = "prompt"
    """The kind of node."""


@dataclass(frozen=True, slots=True)
class AgentNode:
    """An agent that versions were registered from."""

    __pydantic_config__ = DESCRIBED

    id: str
    """The identity within this graph."""
    model_id: str
    """The ID of the logged model."""
    name: str | None
    """The name of the logged model."""
    kind: Literal["agent"] = "agent"
    """The kind of node."""


@dataclass(frozen=True, slots=True)
class VersionNode:
    """A model version."""

    __pydantic_config__ = DESCRIBED

    id: str
    """The identity within this graph."""
    model_name: str
    """The registered model."""
    version_number: int
    """The version's number."""
    lifecycle_stage: str | None
    """The stage, as in the canonical record."""
    aliases: tuple[str, ...]
    """The aliases, as in the canonical record."""
    kind: Literal["version"] = "version"
    """The kind of node."""


@dataclass(frozen=True, slots=True)
class FilesNode:
    """The files of a version. Versions with the same files share one node."""

    __pydantic_config__ = DESCRIBED

    id: str
    """The identity within this graph."""
    location: str | None
    """Where the files are."""
    digest: str | None
    """A hash over all paths and hashes; null if a file is not hashed."""
    file_count: int | None
    """The number of files; null if they could not be listed."""
    total_bytes: int | None
    """The sum of the sizes that are known."""
    kind: Literal["files"] = "files"
    """The kind of node."""


LineageNode: TypeAlias = DatasetNode | RunNode | PromptNode | AgentNode | VersionNode | FilesNode


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """A directed edge: the target was made from the source."""

    __pydantic_config__ = DESCRIBED

    source: str
    """The identity of a node."""
    target: str
    """The identity of a node."""
    label: str | None
    """What a run used a data set for, such as training, or the alias that names a prompt; null for other edges."""


@dataclass(frozen=True, slots=True)
class SharedDatasetUse:
    """A data set that versions of several models use."""

    __pydantic_config__ = DESCRIBED

    name: str | None
    """The name in MLflow. If the data set has several names, it is the first in alphabetical order."""
    digest: str | None
    """MLflow's digest."""
    source: str | None
    """Where the data is; only for a data set without a digest."""
    models: tuple[str, ...]
    """The models, sorted, up to 50 of them."""
    model_count: int
    """The number of models."""
    version_count: int
    """The number of versions."""


@dataclass(frozen=True, slots=True)
class LineageGraph:
    """The lineage of living versions."""

    __pydantic_config__ = DESCRIBED

    version_count: int
    """The living versions, including those that are left out."""
    left_out: str | None
    """A sentence about the versions that have no node; null if all versions have nodes."""
    nodes: tuple[LineageNode, ...]
    """The nodes: versions, their files, and the objects that the versions were made from."""
    edges: tuple[LineageEdge, ...]
    """The edges. They lead from data sets to runs to versions to files, and from prompts to agents to versions."""
    shared_datasets: tuple[SharedDatasetUse, ...]
    """The data sets that several models share; in the graph of one model, only the data sets that this model uses."""


def lineage_graph(session: TenantSession, model: str | None = None, max_nodes: int = DEFAULT_NODES) -> LineageGraph:
    """Return the graph of a tenant's living versions, up to ``max_nodes`` nodes.

    Versions in production come first, then versions with an alias, then the newest versions.

    Raises:
        ValueError: ``max_nodes`` is not between 1 and ``MAX_NODES``.
    """
    if not 1 <= max_nodes <= MAX_NODES:
        raise ValueError(f"a graph has between 1 and {MAX_NODES:,} nodes, not {max_nodes:,}")
    versions = training_lineage.version_lineages(session, model, max_nodes)
    count = training_lineage.count_versions(session, model)
    shared = training_lineage.shared_datasets(session, model)
    builder = _GraphBuilder({dataset.key for dataset in shared}, max_nodes)
    shown = sum(builder.add_if_it_fits(version) for version in versions)
    return LineageGraph(
        version_count=count,
        left_out=_left_out(shown, count, max_nodes),
        nodes=tuple(builder.nodes.values()),
        edges=tuple(
            LineageEdge(source=source, target=target, label=" and ".join(sorted(labels)) or None)
            for (source, target), labels in builder.edges.items()
        ),
        shared_datasets=tuple(
            SharedDatasetUse(
                name=dataset.name,
                digest=dataset.key.digest,
                source=dataset.key.source,
                models=tuple(dataset.models),
                model_count=dataset.model_count,
                version_count=dataset.version_count,
            )
            for dataset in shared
        ),
    )


def _left_out(shown: int, count: int, max_nodes: int) -> str | None:
    if shown >= count:
        return None
    return (
        f"{count - shown:,} of {count:,} versions are left out, since the graph has at most {max_nodes:,} nodes. "
        "Versions in production come first, then those with an alias, then the newest."
    )


class _GraphBuilder:
    """Adds versions with their inputs until the graph is full."""

    def __init__(self, shared: set[DatasetKey], max_nodes: int) -> None:
        self.nodes: dict[object, LineageNode] = {}
        self.edges: dict[tuple[str, str], set[str]] = {}
        self._shared = shared
        self._max_nodes = max_nodes

    def add_if_it_fits(self, version: VersionLineage) -> bool:
        """Add a version with its inputs, and return whether the graph had space for them."""
        datasets: dict[DatasetKey, list[Mapping[str, object]]] = {}
        for reference in version.datasets:
            datasets.setdefault(DatasetKey.of(reference), []).append(reference)
        files = _files_key(version)
        sources = (version.run_id, _agent_key(version), files)
        prompts = (_prompt_key(link) for link in (*version.prompts, *version.agent_prompts))
        others = {*datasets, *prompts, *(key for key in sources if key)}
        if len(self.nodes) + 1 + sum(key not in self.nodes for key in others) > self._max_nodes:
            return False
        self._add(version, datasets, files)
        return True

    def _add(
        self, version: VersionLineage, datasets: Mapping[DatasetKey, Sequence[Mapping[str, object]]], files: object
    ) -> None:
        made_from: LineageNode
        node = made_from = self._node(
            (version.model_name, version.version_number),
            VersionNode(
                id=f"v{len(self.nodes)}",
                model_name=version.model_name,
                version_number=version.version_number,
                lifecycle_stage=version.lifecycle_stage,
                aliases=tuple(version.aliases),
            ),
        )
        of_agent = {_prompt_key(link) for link in version.agent_prompts}
        self._add_prompts((link for link in version.prompts if _prompt_key(link) not in of_agent), node)
        if version.agent_id:
            listed_agent = AgentNode(id=f"a{len(self.nodes)}", model_id=version.agent_id, name=version.agent_name)
            agent = self._node(_agent_key(version), listed_agent)
            self._connect(agent, node)
            self._add_prompts(version.agent_prompts, agent)
        if version.run_id:
            run = RunNode(id=f"r{len(self.nodes)}", run_id=version.run_id, experiment_name=version.experiment_name)
            made_from = self._node(version.run_id, run)
            self._connect(made_from, node)
        for key, references in datasets.items():
            described = _dataset_node(f"d{len(self.nodes)}", references[0], shared=key in self._shared)
            # A run often uses a data set for training and for evaluation.
            uses = [str(reference["context"]) for reference in references if reference.get("context")]
            self._connect(self._node(key, described), made_from, uses)
        if files:
            listed = FilesNode(
                id=f"f{len(self.nodes)}",
                location=version.location,
                digest=version.files_digest,
                file_count=version.file_count,
                total_bytes=version.total_bytes,
            )
            self._connect(node, self._node(files, listed))

    def _add_prompts(self, links: Iterable[Mapping[str, object]], user: LineageNode) -> None:
        for link in links:
            named = self._node(_prompt_key(link), _prompt_node(f"p{len(self.nodes)}", link))
            self._connect(named, user, [f"@{link['alias']}"] if link.get("alias") else [])

    def _node(self, key: object, node: LineageNode) -> LineageNode:
        return self.nodes.setdefault(key, node)

    def _connect(self, source: LineageNode, target: LineageNode, labels: Iterable[str] = ()) -> None:
        self.edges.setdefault((source.id, target.id), set()).update(labels)


def _files_key(version: VersionLineage) -> object:
    """Return the identity of a version's files: their content if all files are hashed, else their location."""
    if version.files_digest:
        return ("content", version.files_digest)
    return ("location", version.location) if version.location else None


def _agent_key(version: VersionLineage) -> object:
    return ("agent", version.agent_id) if version.agent_id else None


def _prompt_key(link: Mapping[str, object]) -> tuple[object, ...]:
    return ("prompt", link.get("name"), link.get("version"), link.get("state"))


def _prompt_node(node_id: str, link: Mapping[str, object]) -> PromptNode:
    number, template_sha256 = link.get("version"), link.get("template_sha256")
    return PromptNode(
        id=node_id,
        name=str(link.get("name")),
        version_number=number if isinstance(number, int) else None,
        state=str(link.get("state")),
        template_sha256=str(template_sha256) if template_sha256 else None,
    )


def _dataset_node(node_id: str, reference: Mapping[str, object], *, shared: bool) -> DatasetNode:
    name, digest, source_type, source = (
        str(reference[key]) if reference.get(key) else None for key in ("name", "digest", "source_type", "source")
    )
    return DatasetNode(id=node_id, name=name, digest=digest, source_type=source_type, source=source, shared=shared)
