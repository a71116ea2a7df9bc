"""The public Python API: a client for notebooks and scripts that only reads the database.

Import it as ``import verifywise_mlflow as vm``. The names in ``verifywise_mlflow.__all__`` follow semantic versioning;
all other names, in this package and in others, may change in any release.
"""

from verifywise_mlflow.api.client import Client, connect
from verifywise_mlflow.api.errors import (
    InvalidArgumentError,
    MissingExtraError,
    NotFoundError,
    StoreError,
    VerifyWiseError,
)
from verifywise_mlflow.api.lineage import Lineage
from verifywise_mlflow.api.version import Verdict, VersionRecord

__all__ = [
    "Client",
    "InvalidArgumentError",
    "Lineage",
    "MissingExtraError",
    "NotFoundError",
    "StoreError",
    "Verdict",
    "VerifyWiseError",
    "VersionRecord",
    "connect",
]
