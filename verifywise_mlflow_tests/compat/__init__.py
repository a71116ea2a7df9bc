"""The same tests on servers of several MLflow versions: ``make compat`` installs the servers and runs both folders."""
