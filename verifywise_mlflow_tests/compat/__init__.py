"""The same stories on servers of several MLflow versions: ``make compat`` installs and runs them."""
