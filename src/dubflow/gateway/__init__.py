"""The HTTP API: dubs, jobs, keys, consent, provenance, metrics."""
