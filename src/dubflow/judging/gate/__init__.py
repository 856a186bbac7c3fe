"""The gate: whether a candidate may replace what is in use, by a written policy, with a signed verdict."""
