"""One tenant, as ``tenants.yaml`` describes it."""

from __future__ import annotations

import re
from math import isfinite
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.artifacts.file_classifier import FilePattern
from verifywise_mlflow.artifacts.sandbox.lockdown import Isolation
from verifywise_mlflow.common.waiver_limits import WaiverLimits
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.tenants.artifact_stores import ArtifactStore
from verifywise_mlflow.tenants.auth import Credentials, NoCredentials, OAuth2Credentials, SigV4Credentials
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.header_names import FRAMING_HEADERS, check_header_names
from verifywise_mlflow.tenants.intervals import Intervals
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.network import Proxy, Tls
from verifywise_mlflow.tenants.report import Report
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.server import DatabricksServer, MlflowServer, Server
from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri

_RESERVED_HEADERS = FRAMING_HEADERS | {"authorization", "proxy-authorization", "x-mlflow-workspace"}
"""``FRAMING_HEADERS``, and the headers for identity, which the client also sets itself."""


class TrustedSigners(ConfigSection):
    """The signers of models that the tenant trusts, as PEM files."""

    public_keys: tuple[AbsolutePath, ...] = ()
    authorities: tuple[AbsolutePath, ...] = ()
    """Certificates of authorities that issue the certificates of signers."""


class Artifacts(ConfigSection):
    """What is read of a version's files. Sizes are in bytes."""

    manifests: bool = True
    """Whether artifacts are listed and read. If not, the records state that."""
    hash: bool = True
    """Whether files are hashed. If not, they are listed with their sizes, and only the environment files are read."""
    allowed_locations: tuple[str, ...] | None = None
    """URI prefixes of the locations that may be read. Null: everything that the tracking server itself serves."""
    stores: tuple[ArtifactStore, ...] = ()
    """Stores that may be read directly, without the tracking server. Everything below a store's prefix may be read."""
    max_file_bytes: int = Field(default=2 * 1024**3, gt=0)
    max_version_bytes: int = Field(default=8 * 1024**3, gt=0)
    max_files: int = Field(default=2_000, gt=0)
    max_depth: int = Field(default=12, gt=0)
    max_version_seconds: int = Field(default=3_600, gt=0)
    """Seconds after which no further file of a version is hashed."""
    sandbox: Isolation = "required"
    """Whether files are parsed if the kernel does not isolate the processes that parse them."""
    trusted_signers: TrustedSigners = TrustedSigners()
    kinds: tuple[FilePattern, ...] = ()
    """The tenant's own file patterns, each with a kind of evidence. They take precedence over the default patterns."""


class Agents(ConfigSection):
    """Which agents of the server are listed: logged models of the type agent, registered or not."""

    experiments: Literal["all", "registry", "none"] = "all"
    """The experiments to search: all experiments that the account may read, the experiments of the registry's runs and
    models, or no experiments."""


class Evaluations(ConfigSection):
    """What is read of the evaluation of generative versions."""

    assessments: bool = True
    """Whether the traces of generative versions are searched for assessments. Assessments are counted, not stored."""


class History(ConfigSection):
    """Limits on the growth of the histories, which are kept permanently."""

    max_bytes_per_day: int = Field(default=512 * 1024**2, gt=0)
    """The maximum number of bytes of former states, lifecycle events and their audit entries per day, in UTC. Changes
    beyond the limit are held back until the next day."""


class Compliance(ConfigSection):
    """The policies, frameworks and waivers that apply to the tenant."""

    default_policy: bool = True
    """Whether the package's default policy also applies."""
    policies: tuple[AbsolutePath, ...] = ()
    """Files with the tenant's own policies. No two policies may have a rule with the same id."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Overrides of the policies' thresholds, by name."""
    framework_files: tuple[AbsolutePath, ...] = ()
    """Files with frameworks that rules may refer to, in addition to the frameworks of the package and ``defaults``."""
    frameworks: tuple[str, ...] = ()
    """The frameworks whose references are shown, by name. Empty: all frameworks."""
    vulnerability_copy: AbsolutePath | None = None
    """A copy of OSV's entries about PyPI: the archive ``all.zip``, or a folder of its JSON files."""
    end_of_life: AbsolutePath | None = None
    """A file with the ends of support of further release lines of Python and MLflow, in the form of the package's own
    file."""
    waivers: AbsolutePath | None = None
    """The file of the tenant's waivers, instead of ``waivers.yaml`` next to ``tenants.yaml``."""
    ai_systems: AbsolutePath | None = None
    """The file of the tenant's AI systems, instead of ``ai_systems.yaml`` next to ``tenants.yaml``."""
    waiver_limits: WaiverLimits = WaiverLimits()
    """The limits on waivers: the longest term, the shortest reason, the approvers, and whether patterns are allowed."""

    @field_validator("thresholds")
    @classmethod
    def _are_finite(cls, thresholds: dict[str, float]) -> dict[str, float]:
        for name, threshold in thresholds.items():
            if not isfinite(threshold):
                raise ValueError(f"the threshold {name} is not finite: write a finite number")
        return thresholds

    @model_validator(mode="after")
    def _has_a_policy(self) -> Compliance:
        if not self.default_policy and not self.policies:
            raise ValueError("the tenant has no policy: name a file under policies, or leave default_policy on")
        return self


class Tenant(ConfigSection):
    """A customer whose MLflow server is synced."""

    tenant_id: str
    tracking_uri: str
    """``http(s)://host[:port][/prefix]``, without credentials."""
    server: Server = MlflowServer()
    """The kind of server."""
    allow_private_network: bool = False
    """Whether the server may have a private, loopback or link-local address."""
    auth: Credentials = NoCredentials()
    headers: dict[str, SecretReference] = Field(default_factory=dict)
    """Extra headers for gateways, given as references to secrets, because they usually contain keys."""
    tls: Tls = Tls()
    proxy: Proxy | None = None
    workspace: str | None = Field(default=None, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    artifacts: Artifacts = Artifacts()
    agents: Agents = Agents()
    evaluations: Evaluations = Evaluations()
    mapping: TagMapping = TagMapping()
    """The customer's own tag keys and values, added to the default mapping."""
    redaction: RedactionSettings = RedactionSettings()
    """The redaction of the customer's texts before anything is stored."""
    compliance: Compliance = Compliance()
    history: History = History()
    delivery: Delivery = Delivery()
    """Where verdicts are delivered; by default nowhere."""
    report: Report | None = None
    """Where the governance report is written after syncs. Null: nowhere."""
    intervals: Intervals = Intervals()
    webhooks: Webhooks | None = None
    """The tenant's MLflow webhooks, which shorten the time until a change is seen. Null: there are no webhooks."""
    limits: Limits = Limits()
    """Limits on the time and the size of a server's responses."""

    @field_validator("tenant_id")
    @classmethod
    def _is_partition_key(cls, tenant_id: str) -> str:
        # A comma in a partition key breaks Dagster's backfill page, and a partition key cannot be renamed later.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", tenant_id):
            raise ValueError(
                "the name is not allowed: write 1 to 63 letters, digits, '_', '.' or '-', and begin with a letter or "
                "digit"
            )
        return tenant_id

    @field_validator("tracking_uri")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return http_uri(uri, "https://mlflow.example.com:5000/prefix").rstrip("/")

    @field_validator("headers")
    @classmethod
    def _are_not_reserved(cls, headers: dict[str, SecretReference]) -> dict[str, SecretReference]:
        check_header_names(headers, reserved=_RESERVED_HEADERS, instead="use auth, proxy or workspace instead")
        return headers

    @model_validator(mode="after")
    def _is_consistent(self) -> Tenant:
        if isinstance(self.server, DatabricksServer) and self.workspace:
            raise ValueError(
                "workspace is set for a Databricks server, whose workspace is its tracking_uri: remove workspace"
            )
        match self.auth:
            case OAuth2Credentials(token_uri=uri) if urlsplit(uri).scheme == "http" and not self.allow_private_network:
                raise ValueError(
                    "auth.token_uri is not encrypted, so the client's secret would be sent in clear text: write https://"
                )
            case SigV4Credentials() as auth:
                server = auth.server()
                signed = {server.header} if server else set()
                if any(name.lower().startswith("x-amz-") or name.lower() in signed for name in self.headers):
                    raise ValueError(
                        "auth of kind sigv4 sets the headers x-amz-… and that of the ARN: remove them from headers"
                    )
        return self
