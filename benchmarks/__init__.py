"""What reading a registry costs: requests to the server, our CPU and our memory, beside MLflow's own client.

``make bench`` runs it. It is no test, and nothing depends on its figures.
"""

import os

# Before anything imports MLflow, whose client would tell its makers of what it is measured at.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
