"""The demo, with servers and seeding processes that are forked: see ``support.warm_parent``.

``python -m verifywise_mlflow_tests.demo.warm_demo SOCKET [options of the demo]``
"""

import sys
from pathlib import Path

from verifywise_mlflow.demo.__main__ import main
from verifywise_mlflow_tests.support.warm_services import warm_services

if __name__ == "__main__":
    parent = Path(sys.argv.pop(1))
    with warm_services(lambda: parent):
        sys.exit(main())
