"""Where dubflow runs: checks of this machine, and the story from end to end."""
