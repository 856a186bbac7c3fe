"""What of the cluster's files is written by a program: see ``python -m dubflow.platform.manifests --help``."""
