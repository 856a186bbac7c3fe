"""Manifests, readers of public layouts, checks, prepared sets and their content-addressed cache."""
