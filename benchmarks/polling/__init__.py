"""``python -m benchmarks.polling``: how soon each kind of change is evaluated without webhooks, and the cost of a poll.

Postgres, MLflow, and Dagster's code server, webserver and daemon are processes of their own, with default settings.
Each kind of change has its own workspaces, so that no poll for another kind of change finds it. The clock starts when
MLflow has confirmed a change, and ends when its verdict is in the store; a new or deleted object without a verdict
counts when its row is there. Runs and files are read every few minutes here, instead of every hour or day.

If the machine has other work, all delays are longer.
"""
