"""A worker as in production, but with a short interval of heartbeats: tests do not wait for ten seconds."""

import sys

from verifywise_mlflow.distributed import heartbeat, worker

heartbeat.INTERVAL_SECONDS = 0.1  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(worker.main())
