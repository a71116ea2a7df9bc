"""The same stories on servers of several MLflow versions: ``make compat`` installs them and runs both folders."""
