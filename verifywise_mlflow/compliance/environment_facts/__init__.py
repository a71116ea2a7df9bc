"""Facts about packages, Python and MLflow from outside of MLflow: vulnerabilities and ends of support."""
