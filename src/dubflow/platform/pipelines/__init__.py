"""Pipelines: what there are, where they run, what became of each run."""
