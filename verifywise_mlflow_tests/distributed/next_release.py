"""A worker of a later release: this code, with one more migration.

``python -m verifywise_mlflow_tests.distributed.next_release MIGRATIONS PROCESSES``
"""

import sys
from pathlib import Path

from verifywise_mlflow.distributed import worker
from verifywise_mlflow.persistence import database

if __name__ == "__main__":
    database.MIGRATIONS = Path(sys.argv.pop(1))
    sys.exit(worker.main())
