"""Measures the cost of reading a registry, compared with MLflow's own client: requests to the server, CPU and memory.

``make bench`` runs the benchmarks. They are not tests, and nothing depends on their figures.
"""

import os

# Set before anything imports MLflow, whose client would send telemetry during the measurement.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
