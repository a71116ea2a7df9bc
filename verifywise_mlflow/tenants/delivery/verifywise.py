"""The VerifyWise server that a tenant's verdicts are delivered to, as ``tenants.yaml`` describes it."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.network import Proxy, Tls
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import ConfigSection, http_uri

VERIFYWISE: Final = TargetName("verifywise")


class VerifyWiseLogin(ConfigSection):
    """A separate user with the role Editor, which is the lowest role that suffices. Each delivery logs in once."""

    kind: Literal["login"]
    email: Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$", max_length=254)]
    password: SecretReference

    def identity(self) -> str:
        """Return our identity on the server, in a form that the audit trail may contain."""
        return f"login {self.email} (password from {self.password})"


class VerifyWiseToken(ConfigSection):
    """An API token. Only an Admin can create it, and it has all of the Admin's rights: prefer a login."""

    kind: Literal["token"]
    token: SecretReference

    def identity(self) -> str:
        """Return our identity on the server, in a form that the audit trail may contain."""
        return f"token (from {self.token})"


VERIFYWISE_AUTH_KINDS: Final = ("login", "token")
VerifyWiseAuth = Annotated[VerifyWiseLogin | VerifyWiseToken, Field(discriminator="kind")]

VersionScope = Literal["production", "in_use", "all"]
"""``production``: versions in production; ``in_use``: versions in production or staging, and deployed versions."""


class VerifyWiseSettings(ConfigSection):
    """A VerifyWise server and what is delivered to it."""

    url: str
    """``https://host[:port][/prefix]``, without ``/api``."""
    auth: VerifyWiseAuth
    versions: VersionScope = "production"
    """Which versions get an inventory entry. A version that leaves the scope keeps its entry, and updates continue."""
    confirm_above: int = Field(default=50, ge=0)
    """A first delivery with more new entries waits for a person: VerifyWise may send mail for each entry."""
    risks: Literal["failed", "open"] = "failed"
    """The verdicts that open a risk: ``failed``, or ``open`` for all open gaps, including not evidenced and error."""
    evidence: Literal["markdown", "none"] = "markdown"
    """The form of the evidence file of each version."""
    restrict_failing: bool = False
    """Whether a failing version gets the status Restricted, unless somebody has changed the status Pending that we
    wrote."""
    metrics_token: SecretReference | None = None
    """An ingestion token for the metrics of models, for releases with model risk management."""
    allow_private_network: bool = False
    """Whether the server may have a private, loopback or link-local address, and an unencrypted address (``http``)."""
    tls: Tls = Tls()
    proxy: Proxy | None = None

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        base = http_uri(url, "https://governance.example.com", section="delivery.verifywise.auth").rstrip("/")
        if urlsplit(base).path.endswith("/api"):
            raise ValueError("the address ends with /api: remove that, since the client adds it")
        return base

    @model_validator(mode="after")
    def _is_encrypted(self) -> VerifyWiseSettings:
        if urlsplit(self.url).scheme == "http" and not self.allow_private_network:
            raise ValueError("url is not encrypted, so the password would be sent in clear text: write https://")
        return self
