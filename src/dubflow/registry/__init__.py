"""MLflow: where runs are recorded. The only room that imports it."""
