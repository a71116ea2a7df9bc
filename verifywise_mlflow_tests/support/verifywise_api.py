"""A plain client of the contract server for tests. It returns each response of VerifyWise unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3

from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer

EDITOR, ADMIN = "editor@example.com", "admin@example.com"
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> dict[str, object]:
        """The JSON object in the body."""
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content

    @property
    def data(self) -> object:
        """The data within the envelope."""
        return self.content["data"]

    @property
    def row(self) -> dict[str, object]:
        """The data, which must be one object."""
        assert isinstance(self.data, dict)
        return self.data

    @property
    def rows(self) -> list[dict[str, object]]:
        """The data, which must be a list."""
        assert isinstance(self.data, list)
        return self.data

    @property
    def id(self) -> int:
        """The id of the object."""
        identifier = self.row["id"]
        assert isinstance(identifier, int)
        return identifier


class Api:
    """Requests of one user. Without a user, requests have no token."""

    def __init__(self, server: VerifyWiseServer, email: str | None = EDITOR) -> None:
        self._server = server
        self._http = urllib3.PoolManager(retries=False, timeout=10)
        self.token = ""
        if email is not None:
            self.log_in(email)

    def log_in(self, email: str, password: str = PASSWORD) -> ApiAnswer:
        """Log in; use the token from now on."""
        answer = self.post("/users/login", {"email": email, "password": password})
        if answer.status == 202:
            self.token = str(answer.row["token"])
        return answer

    def get(self, path: str) -> ApiAnswer:
        """Send a GET request."""
        return self.send("GET", path)

    def post(self, path: str, content: object) -> ApiAnswer:
        """Post JSON."""
        return self.send("POST", path, content)

    def patch(self, path: str, content: object) -> ApiAnswer:
        """Send JSON with PATCH."""
        return self.send("PATCH", path, content)

    def upload(self, filename: str, content: bytes, media_type: str, **fields: str) -> ApiAnswer:
        """Upload a file."""
        response = self._http.request(
            "POST",
            f"{self._server.uri}/api/file-manager",
            fields={"file": (filename, content, media_type), **fields},
            headers=self._headers(),
        )
        return ApiAnswer(response.status, response.headers, response.data)

    def send(self, method: str, path: str, content: object = None) -> ApiAnswer:
        """Send a request."""
        response = self._http.request(
            method,
            f"{self._server.uri}/api{path}",
            body=None if content is None else json.dumps(content),
            headers={"Content-Type": "application/json", **self._headers()},
        )
        return ApiAnswer(response.status, response.headers, response.data)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}
