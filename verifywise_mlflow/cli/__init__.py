"""The command line: ``verifywise-mlflow --help``. A module a command; guide.py has their order in the help."""

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.commands import (
    audit,
    badge,
    check,
    db,
    demo,
    diff,
    events,
    frameworks,
    history,
    manifest,
    policy,
    show,
    sync,
    tags,
    tenants,
)

__all__ = [
    "app",
    "audit",
    "badge",
    "check",
    "db",
    "demo",
    "diff",
    "events",
    "frameworks",
    "history",
    "manifest",
    "policy",
    "show",
    "sync",
    "tags",
    "tenants",
]
