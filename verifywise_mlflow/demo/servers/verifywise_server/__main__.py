"""``python -m verifywise_mlflow.demo.servers.verifywise_server``: a contract server for trials by hand."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from verifywise_mlflow.common.signals import interruptible
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.rate_limits import FEW_REQUESTS
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer

USERS = {"editor@example.com": "Editor", "admin@example.com": "Admin"}
PASSWORD = "password"  # noqa: S105  # of a server on 127.0.0.1 without data


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m verifywise_mlflow.demo.servers.verifywise_server")
    parser.add_argument("--dialect", choices=[*Dialect], default=Dialect.B, help="the releases that it behaves like")
    parser.add_argument("--few-requests", action="store_true", help="100 requests in 15 minutes, as some builds allow")
    parser.add_argument("--port", type=int, default=0, help="a free one by default")
    parser.add_argument("--file", type=Path, help="where it stores its state; in memory by default")
    arguments = parser.parse_args(argv)
    with VerifyWiseServer(
        Dialect(arguments.dialect),
        all_requests=FEW_REQUESTS if arguments.few_requests else None,
        file=arguments.file,
        preferred_port=arguments.port or None,
    ) as server:
        for email, role in USERS.items():
            server.add_user(email, PASSWORD, role=role)
        users = " and ".join(USERS)
        sys.stdout.write(f"{server.uri} for {users}, with the password {PASSWORD!r}. Press Ctrl-C to stop.\n")
        sys.stdout.flush()
        try:
            with interruptible():
                threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
