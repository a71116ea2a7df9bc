"""The command line: ``verifywise-mlflow --help``. A module a command; the order here is the order of the help."""

from verifywise_mlflow.cli import (
    audit,
    check,
    db,
    demo,
    diff,
    events,
    frameworks,
    history,
    manifest,
    show,
    sync,
    tags,
    tenants,
)
from verifywise_mlflow.cli.app import app

__all__ = [
    "app",
    "audit",
    "check",
    "db",
    "demo",
    "diff",
    "events",
    "frameworks",
    "history",
    "manifest",
    "show",
    "sync",
    "tags",
    "tenants",
]
