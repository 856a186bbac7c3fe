"""Pipelines of KFP, and in ``ir/`` what they compile to."""
