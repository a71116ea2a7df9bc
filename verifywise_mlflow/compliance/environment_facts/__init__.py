"""Facts that do not come from MLflow: vulnerabilities of packages, and the ends of support of Python and MLflow."""
