"""The page of a run of the data engine: what its pairs measure, which were refused and why, and some to look at."""
