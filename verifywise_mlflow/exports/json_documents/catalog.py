"""All versioned JSON documents, from which their schemas are published."""

from __future__ import annotations

from typing import Final

from verifywise_mlflow.exports.json_documents.agents import AgentsDocument
from verifywise_mlflow.exports.json_documents.changes import DiffDocument, EventsDocument, HistoryDocument
from verifywise_mlflow.exports.json_documents.comparison import CompareDocument
from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.exports.json_documents.export import ExportDocument
from verifywise_mlflow.exports.json_documents.gaps import GapGroupsDocument, GapsDocument
from verifywise_mlflow.exports.json_documents.inventory import InventoryDocument
from verifywise_mlflow.exports.json_documents.lineage import LineageDocument
from verifywise_mlflow.exports.json_documents.pack import (
    PackDocument,
    PackProofDocument,
    PackRecordDocument,
    PacksDocument,
    PackVerdictsDocument,
)
from verifywise_mlflow.exports.json_documents.prompts import PromptsDocument
from verifywise_mlflow.exports.json_documents.proofs import ConsistencyProofDocument, StateProofDocument
from verifywise_mlflow.exports.json_documents.report import ReportDocument
from verifywise_mlflow.exports.json_documents.shown_version import ShowDocument
from verifywise_mlflow.exports.json_documents.systems import SystemDocument, SystemsDocument
from verifywise_mlflow.exports.json_documents.webhooks import WebhookCheckDocument, WebhooksDocument

DOCUMENTS: Final[tuple[type[JsonDocument], ...]] = (
    InventoryDocument,
    GapsDocument,
    GapGroupsDocument,
    CompareDocument,
    ShowDocument,
    DiffDocument,
    HistoryDocument,
    EventsDocument,
    LineageDocument,
    PromptsDocument,
    AgentsDocument,
    ExportDocument,
    ReportDocument,
    PackDocument,
    PacksDocument,
    PackRecordDocument,
    PackVerdictsDocument,
    PackProofDocument,
    StateProofDocument,
    ConsistencyProofDocument,
    SystemsDocument,
    SystemDocument,
    WebhooksDocument,
    WebhookCheckDocument,
)
"""The documents in the order of the reference page."""
