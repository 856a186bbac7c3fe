"""Judges that need no downloads, as evaluations ask them."""
