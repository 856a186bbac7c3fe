"""A new version goes live step by step, judged by what it says and by its errors, and comes back with one command."""
