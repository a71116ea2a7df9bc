"""Prints the versioned JSON documents of ``verifywise_mlflow.exports.json_documents``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from verifywise_mlflow.exports.json_documents.document import JsonDocument


def print_document(document: JsonDocument, **members: Iterable[object]) -> None:
    """Print a document on a line of its own.

    Args:
        document: The document.
        members: At most one member of the document, with the items to print instead of the items in the document. The
            items are printed one by one, so that memory use stays constant.
    """
    if not members:
        sys.stdout.write(json.dumps(document.to_json()) + "\n")
        return
    ((member, items),) = members.items()
    for chunk in document.chunks(member, items):
        sys.stdout.write(chunk)
    sys.stdout.write("\n")
