"""A connection to a tenant's server returns redacted texts only, for every caller."""

from __future__ import annotations

import json

from verifywise_mlflow.services.connection_check import check_connection
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)

SECRET = "Hunter2!Zebra"
MODEL = {"name": "m", "description": f"password={SECRET}", "tags": [{"key": "db_password", "value": SECRET}]}
VERSION = {"name": "m", "version": "1", "current_stage": f"password={SECRET}", "status": f"postgresql://u:{SECRET}@db"}


def script(_server: HostileServer, request: ReceivedRequest) -> bytes:
    path = request.target.partition("?")[0]
    if path.endswith("/version"):
        return make_response("3.1.4", content_type="text/plain")
    if path.endswith("server-info"):
        return make_response("Not Found", 404, "text/html")
    if path.endswith("registered-models/search"):
        return json_response({"registered_models": [MODEL]})
    if path.endswith("model-versions/search"):
        return json_response({"model_versions": [VERSION]})
    return make_response(json.dumps({"error_code": "INTERNAL_ERROR", "message": f"password={SECRET}"}), 400)


def test_neither_objects_nor_errors_of_a_connection_contain_a_secret() -> None:
    with hostile_server(script) as server:
        tenant = Tenant(tenant_id="acme", tracking_uri=server.uri, allow_private_network=True)
        reader = open_reader(tenant)
        rows = [*reader.registered_models().read().rows, *reader.model_versions().read().rows]
        reader.close()
        report = check_connection(tenant)

    assert len(rows) == 2
    assert SECRET not in repr(rows)
    assert "[redacted: password]" in repr(rows)
    assert "400" in str(report.to_json())
    assert SECRET not in str(report.to_json())
