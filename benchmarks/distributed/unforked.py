"""Our definitions for a code server as Dagster ships it. Each run is a new Python process that imports everything."""

import sys

from verifywise_mlflow.definitions import defs

server = sys.modules.get("dagster._grpc.server")
if server is not None:
    start_run = server.DagsterApiServer.StartRun
    server.DagsterApiServer.StartRun = getattr(start_run, "__wrapped__", start_run)

__all__ = ["defs"]
