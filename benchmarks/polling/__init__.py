"""``python -m benchmarks.polling``: how soon each kind of change is evaluated without webhooks, and what a poll costs.

Postgres, MLflow, and Dagster's code server, webserver and daemon are processes of their own, with default settings.
Each kind of change has workspaces to itself, so that no poll of another kind finds it. The clock starts when MLflow has
confirmed a change, and ends when its verdict is in the store; a new or deleted object without a verdict counts when its
row is there. Runs and files are read every few minutes here, instead of every hour or day.

On a machine that does other things, all delays are longer.
"""
