"""Two tenants' registries with models that are really trained, each with its own habits of tagging.

They are filled by a program of their own (``python -m verifywise_mlflow.demo.registries``): MLflow keeps its tracking
URI and its workspace process-wide, and importing it takes two seconds and 170 MB.
"""
