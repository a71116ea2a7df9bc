"""Checks of an installation, for ``verifywise-mlflow doctor``: one module for each subject."""
