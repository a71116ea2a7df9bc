"""The demo's VerifyWise: the objects that a resumed demo finds again, and the printed summary."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from verifywise_mlflow.delivery.verifywise.rest_client import VerifyWiseClient
from verifywise_mlflow.demo.delivery import DemoVerifyWise
from verifywise_mlflow.tenants.delivery.settings import Delivery

TENANTS = ("acme", "globex")


def demo_verifywise(folder: Path, port: int | None = None) -> DemoVerifyWise:
    return DemoVerifyWise(folder / "verifywise.db", folder / "password", TENANTS, port)


def client(verifywise: DemoVerifyWise, tenant: str) -> VerifyWiseClient:
    settings = Delivery.model_validate(verifywise.settings(tenant)).verifywise
    assert settings is not None
    return VerifyWiseClient(settings)


def test_a_resumed_demo_has_its_address_and_contents_and_another_password(tmp_path: Path) -> None:
    first = demo_verifywise(tmp_path)
    with first.server as server:
        first.prepare()
        entry = client(first, "acme").create_inventory_entry({"model": "credit"}, None)
        password = (tmp_path / "password").read_text()

    second = demo_verifywise(tmp_path, server.port)
    with second.server:
        second.prepare()
        acme = client(second, "acme")
        assert acme.inventory() == [entry]
        assert len(acme.custom_field_definitions()) == 5
        assert acme.account().role == "Editor"
        assert client(second, "globex").inventory() == []

    assert second.server.uri == first.server.uri
    assert (tmp_path / "password").read_text() != password
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("width", [80, 200])
def test_the_inventory_of_each_tenant_is_printed_without_markup(tmp_path: Path, width: int) -> None:
    verifywise = demo_verifywise(tmp_path)
    console = Console(file=io.StringIO(), width=width)
    with verifywise.server as server:
        verifywise.prepare()
        server.add("model", [{"model": "[red]credit[/red]", "version": "3", "status": "Pending"}])
        server.add("value", [{"definition_id": 1, "entity_id": 1, "value": "failing"}])
        risk = {"model_id": 1, "is_deleted": False}
        server.add("risk", [{**risk, "status": "Open"}, {**risk, "status": "Resolved"}])
        server.add("file", [{"modelId": 1, "review_status": status} for status in ("superseded", "pending_review")])

        verifywise.print_contents(console)

    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["VerifyWise", "holds", "for", "acme:"] in lines
    assert ["[red]credit[/red]", "3", "Pending", "failing", "1", "1"] in lines
    assert lines[-1][:5] == ["It", "would", "have", "sent", "0"]
