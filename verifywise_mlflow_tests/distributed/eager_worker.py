"""A worker as in production, whose heartbeat does not let a test wait for ten seconds."""

import sys

from verifywise_mlflow.distributed import heartbeat, worker

heartbeat.INTERVAL_SECONDS = 0.1  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(worker.main())
