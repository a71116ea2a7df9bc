"""The lineage of versions as a value that notebooks show as a picture."""

from __future__ import annotations

from verifywise_mlflow.documents.lineage.dot import to_dot
from verifywise_mlflow.documents.lineage.mermaid import to_mermaid
from verifywise_mlflow.documents.lineage.svg import to_svg
from verifywise_mlflow.exports.json_documents.lineage import LineageDocument


class Lineage(LineageDocument):
    """What the living versions of a tenant, or of one model, were made from.

    ``graph`` holds nodes and edges, and the data sets that several models share. Jupyter shows the picture.
    """

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart."""
        return to_mermaid(self.graph)

    def to_dot(self) -> str:
        """Return the graph in the language of Graphviz."""
        return to_dot(self.graph)

    def to_svg(self) -> str:
        """Return the graph as an SVG picture, which loads nothing and runs no script."""
        return to_svg(self.graph, self.model_name or self.tenant)

    def _repr_svg_(self) -> str:
        return self.to_svg()
