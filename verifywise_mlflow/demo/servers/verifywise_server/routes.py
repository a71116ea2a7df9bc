"""The endpoints of the contract server, as one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from verifywise_mlflow.demo.servers.verifywise_server import (
    auth,
    custom_fields,
    evidence,
    files,
    history,
    inventory,
    metrics,
    risks,
)
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.messages import Call, Response


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint."""

    method: str
    template: str
    """The path without ``/api``; a segment that begins with a colon is variable."""
    handle: Callable[[Call], Response]
    is_only_in_b: bool = False
    takes_ingestion_token: bool = False

    def parameters(self, method: str, path: str, dialect: Dialect) -> tuple[str, ...] | None:
        """Return the variable segments of a path; None if the path belongs to another endpoint."""
        if method != self.method or (self.is_only_in_b and dialect is not Dialect.B):
            return None
        pattern = re.sub(r":\w+", "([^/]+)", self.template)
        match = re.fullmatch(f"{pattern}/?", path)
        return None if match is None else match.groups()


ROUTES: Sequence[Route] = (
    Route("GET", "/users", auth.list_users),
    Route("POST", "/tokens", auth.create_token),
    Route("DELETE", "/tokens/:id", auth.delete_token),
    Route("POST", "/tokens/:id/revoke", auth.delete_token, is_only_in_b=True),
    Route("GET", "/modelInventory", inventory.list_models),
    Route("POST", "/modelInventory", inventory.create_model),
    Route("GET", "/modelInventory/:id", inventory.get_model),
    Route("PATCH", "/modelInventory/:id", inventory.update_model),
    Route("DELETE", "/modelInventory/:id", inventory.delete_model),
    Route("GET", "/modelRisks", risks.list_risks),
    Route("POST", "/modelRisks", risks.create_risk),
    Route("GET", "/modelRisks/:id", risks.get_risk),
    Route("PATCH", "/modelRisks/:id", risks.update_risk),
    Route("DELETE", "/modelRisks/:id", risks.delete_risk),
    Route("POST", "/file-manager", files.upload),
    Route("GET", "/file-manager", files.list_files),
    Route("GET", "/file-manager/:id", files.download),
    Route("GET", "/file-manager/:id/metadata", files.get_metadata),
    Route("PATCH", "/file-manager/:id/metadata", files.update_metadata),
    Route("POST", "/files/attach", files.attach),
    Route("GET", "/evidenceHub", evidence.list_evidence),
    Route("POST", "/evidenceHub", evidence.create_evidence),
    Route("GET", "/evidenceHub/:id", evidence.get_evidence),
    Route("PATCH", "/evidenceHub/:id", evidence.update_evidence),
    Route("DELETE", "/evidenceHub/:id", evidence.delete_evidence),
    Route("GET", "/model-inventory-change-history/:id", lambda call: history.answer(call, "model_history")),
    Route("GET", "/model-risk-change-history/:id", lambda call: history.answer(call, "risk_history")),
    Route("GET", "/file-change-history/:id", lambda call: history.answer(call, "file_history")),
    Route("GET", "/custom-fields/definitions/:entity_type", custom_fields.list_definitions, is_only_in_b=True),
    Route("POST", "/custom-fields/definitions", custom_fields.create_definition, is_only_in_b=True),
    Route("GET", "/custom-fields/values/:entity_type/:entity_id", custom_fields.list_values, is_only_in_b=True),
    Route("PUT", "/custom-fields/values", custom_fields.set_value, is_only_in_b=True),
    Route("POST", "/mrm/ingestion-tokens", metrics.create_ingestion_token, is_only_in_b=True),
    Route("POST", "/mrm/models/:key/metrics", metrics.ingest, is_only_in_b=True, takes_ingestion_token=True),
)


def find_route(method: str, path: str, dialect: Dialect) -> tuple[Route, tuple[str, ...]] | None:
    """Return the endpoint of a path and its variable segments; None if there is none."""
    for route in ROUTES:
        parameters = route.parameters(method, path, dialect)
        if parameters is not None:
            return route, parameters
    return None
