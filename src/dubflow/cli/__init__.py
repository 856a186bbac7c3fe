"""The ``dubflow`` program: one file a verb group, no logic."""
