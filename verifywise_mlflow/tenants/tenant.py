"""One tenant, as ``tenants.yaml`` describes it."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isfinite
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from verifywise_mlflow.artifacts.file_classifier import Pattern
from verifywise_mlflow.http.settings import Bounds
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.redaction.settings import Minimisation
from verifywise_mlflow.tenants.artifact_stores import ArtifactStore
from verifywise_mlflow.tenants.auth import Credentials, NoCredentials, OAuth2Credentials, SigV4Credentials
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.server import DatabricksServer, MlflowServer, Server
from verifywise_mlflow.tenants.validators import AbsolutePath, server_uri

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _interval(written: object) -> timedelta:
    match = re.fullmatch(r"([0-9]+)\s*([smhd])", written.strip()) if isinstance(written, str) else None
    if not match:
        raise ValueError("write a number and a unit: 30s, 5m, 1h or 7d")
    if len(match[1]) > 9:
        raise ValueError("an interval has at most 9 digits")  # timedelta ends at 999,999,999 days
    interval = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not interval:
        raise ValueError("an interval must be longer than nothing")
    return interval


Interval = Annotated[timedelta, BeforeValidator(_interval)]


_OUR_HEADERS = frozenset(
    (
        *("authorization", "proxy-authorization", "cookie", "origin", "x-mlflow-workspace", "user-agent"),
        *("host", "connection", "upgrade", "te", "trailer", "transfer-encoding", "expect"),
        *("content-length", "content-type", "content-encoding", "accept-encoding"),
    )
)
"""Those that say who we are, where a request ends and in which form; a second one could say something else."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Tls(_Section):
    """TLS beyond the system's defaults. There is no way to switch verification off: name the CA instead."""

    ca_bundle: AbsolutePath | None = None
    """PEM file of the authorities to trust instead of the system's."""
    client_certificate: AbsolutePath | None = None
    """PEM file shown to servers that ask for one."""
    client_key: AbsolutePath | None = None
    """PEM file of its key, where it is not in the certificate's file."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Tls:
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key needs a client_certificate beside it")
        return self


class Proxy(_Section):
    """A forward proxy that all requests for the tenant go through: to MLflow, and to the issuer of its tokens."""

    uri: str
    """``http://host:port``. What goes to an https server passes the proxy encrypted."""
    username: str | None = Field(default=None, pattern="^[^:]+$")
    password: SecretReference | None = None
    allow_private_network: bool = False
    """Whether the proxy itself may have a private, loopback or link-local address."""

    @field_validator("uri")
    @classmethod
    def _is_plain_http(cls, uri: str) -> str:
        parts = urlsplit(server_uri(uri, "http://proxy.example.com:3128", what="proxy", section="proxy"))
        if parts.scheme != "http":
            raise ValueError("write http://: a proxy that is itself spoken to in TLS is not supported")
        if parts.path.strip("/"):
            raise ValueError("a proxy has no path: leave out what follows the port")
        return uri.rstrip("/")

    @model_validator(mode="after")
    def _password_has_username(self) -> Proxy:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self


class Signers(_Section):
    """Whose signatures of models are believed. PEM files."""

    public_keys: tuple[AbsolutePath, ...] = ()
    authorities: tuple[AbsolutePath, ...] = ()
    """Certificates of authorities, which vouch for the certificates of signers."""


class Artifacts(_Section):
    """What is read of a version's files. Sizes are bytes."""

    manifests: bool = True
    """Off: no artifact is listed or read, and the records say so."""
    hash: bool = True
    """Off: files are listed with their sizes; only the environment files are read."""
    allowed_locations: tuple[str, ...] | None = None
    """URI prefixes that may be read. Null: whatever the tracking server itself serves."""
    stores: tuple[ArtifactStore, ...] = ()
    """Where files may be read directly, past the tracking server. Each allows what is below its prefix."""
    max_file_bytes: int = Field(default=2 * 1024**3, gt=0)
    max_version_bytes: int = Field(default=8 * 1024**3, gt=0)
    max_files: int = Field(default=2_000, gt=0)
    max_depth: int = Field(default=12, gt=0)
    max_version_seconds: int = Field(default=3_600, gt=0)
    """No file of a version is begun to be hashed after this."""
    trusted_signers: Signers = Signers()
    kinds: tuple[Pattern, ...] = ()
    """What files are, told by names and places: the customer's words for evidence, before the default ones."""


class Intervals(_Section):
    """How old what we know may become before it is read again."""

    poll: Interval = timedelta(minutes=1)
    """The newest version's time stamp: one request."""
    listing: Interval = timedelta(minutes=5)
    """Both listings of the registry: a request for 1,000 models, and one for 10,000 versions."""
    reconcile: Interval = timedelta(hours=1)
    """All linked runs: their tags and metrics move no time stamp in MLflow."""
    rehash: Interval = timedelta(days=1)
    """The bytes of artifacts under unchanged versions that are in production."""
    rehash_others: Interval = timedelta(days=30)
    """The same under all other versions."""
    late_after: Interval | None = None
    """How long after a stage was gone through it is late. Null: two of ``reconcile``, and ten minutes."""

    @model_validator(mode="after")
    def _is_late_after_its_turn(self) -> Intervals:
        if self.late_after is not None and self.late_after <= self.reconcile:
            raise ValueError("late_after has to be longer than reconcile: a tenant would be late before its turn")
        return self


class Compliance(_Section):
    """What the tenant's records are judged by."""

    default_policy: bool = True
    """Whether the policy that comes with the package is asked, too."""
    policies: tuple[AbsolutePath, ...] = ()
    """Files with policies of the tenant's own. No two policies may have a rule of the same id."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Figures in the place of the policies' own, by their names there."""
    frameworks: tuple[str, ...] = ()
    """Those whose references are shown, by their names in the policies. Empty: all."""
    waivers: AbsolutePath | None = None
    """The file of the tenant's waivers, in the place of ``waivers.yaml`` beside ``tenants.yaml``."""

    @field_validator("thresholds")
    @classmethod
    def _are_figures(cls, thresholds: dict[str, float]) -> dict[str, float]:
        for name, figure in thresholds.items():
            if not isfinite(figure):
                raise ValueError(f"the threshold {name} has to be a number that is finite")
        return thresholds

    @model_validator(mode="after")
    def _asks_something(self) -> Compliance:
        if not self.default_policy and not self.policies:
            raise ValueError("name a file under policies, or leave default_policy on: nothing would be judged")
        return self


class Tenant(_Section):
    """A customer whose MLflow server is read."""

    tenant_id: str
    tracking_uri: str
    """``http(s)://host[:port][/prefix]``, without credentials."""
    server: Server = MlflowServer()
    """What kind of server it is."""
    allow_private_network: bool = False
    """Whether the server may have a private, loopback or link-local address."""
    auth: Credentials = NoCredentials()
    headers: dict[str, SecretReference] = Field(default_factory=dict)
    """Extra headers for gateways, by reference, since they usually hold keys."""
    tls: Tls = Tls()
    proxy: Proxy | None = None
    workspace: str | None = Field(default=None, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    artifacts: Artifacts = Artifacts()
    mapping: TagMapping = TagMapping()
    """Words of this customer, added to the default mapping."""
    minimisation: Minimisation = Minimisation()
    """What is taken out of the customer's texts before anything is stored."""
    compliance: Compliance = Compliance()
    intervals: Intervals = Intervals()
    bounds: Bounds = Bounds()
    """How much of a server's time and ours its answers may take."""

    @field_validator("tenant_id")
    @classmethod
    def _is_partition_key(cls, tenant_id: str) -> str:
        # A comma in a partition key breaks Dagster's backfill page, and a key cannot be renamed later.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", tenant_id):
            raise ValueError(
                "a tenant's name has 1 to 63 letters, digits, '_', '.' or '-', and begins with one of the first two"
            )
        return tenant_id

    @field_validator("tracking_uri")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return server_uri(uri, "https://mlflow.example.com:5000/prefix").rstrip("/")

    @field_validator("headers")
    @classmethod
    def _are_free_headers(cls, headers: dict[str, SecretReference]) -> dict[str, SecretReference]:
        for name in headers:
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                raise ValueError("a header's name has letters, digits and dashes")
            if name.lower() in _OUR_HEADERS:
                raise ValueError(f"{name} is set by the connector: use auth, proxy or workspace for it")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header stands here twice, in capitals and in small letters")
        return headers

    @model_validator(mode="after")
    def _fits_its_auth(self) -> Tenant:
        if isinstance(self.server, DatabricksServer) and self.workspace:
            raise ValueError("take workspace out: a Databricks workspace is told by its address, tracking_uri")
        match self.auth:
            case OAuth2Credentials(token_uri=uri) if urlsplit(uri).scheme == "http" and not self.allow_private_network:
                raise ValueError("write auth.token_uri with https://: the client's secret would be sent in clear")
            case SigV4Credentials() as auth:
                resource = auth.resource()
                told = {resource.header} if resource else set()
                if any(name.lower().startswith("x-amz-") or name.lower() in told for name in self.headers):
                    raise ValueError("take the headers x-amz-… and the ARN's out: auth of kind sigv4 sets them")
        return self
