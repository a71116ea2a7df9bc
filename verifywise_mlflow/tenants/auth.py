"""How a tenant's MLflow server wants to be asked: the kinds of credentials."""

from __future__ import annotations

import base64
import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from verifywise_mlflow.tenants.secrets import SecretReference


class _Credentials(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NoCredentials(_Credentials):
    """An open server."""

    kind: Literal["none"] = "none"

    def authorization(self) -> str | None:
        """Return the value of the ``Authorization`` header, or none."""
        return None

    def identity(self) -> str:
        """Return who we are to the server, in words that may stand in the audit trail."""
        return "none"


class BasicCredentials(_Credentials):
    """A user name and a password, as MLflow's basic-auth app asks for."""

    kind: Literal["basic"]
    username: str = Field(min_length=1)
    password: SecretReference

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header."""
        pair = f"{self.username}:{self.password.resolve()}"
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")

    def identity(self) -> str:
        """Return the user name and the password's reference. A hash of a password could be guessed back: none."""
        return f"basic {self.username} (password from {self.password})"


class BearerCredentials(_Credentials):
    """A token, as gateways and Databricks ask for."""

    kind: Literal["bearer"]
    token: SecretReference

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header."""
        return f"Bearer {self.token.resolve()}"

    def identity(self) -> str:
        """Return the token's reference and a fingerprint, which tells one token from the next."""
        fingerprint = hashlib.sha256(self.token.resolve().encode()).hexdigest()[:12]
        return f"bearer sha256:{fingerprint} (token from {self.token})"


Credentials = Annotated[NoCredentials | BasicCredentials | BearerCredentials, Field(discriminator="kind")]
