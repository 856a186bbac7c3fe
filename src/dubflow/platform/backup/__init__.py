"""Copies of the registry and of the jobs that another machine can be set up from."""
