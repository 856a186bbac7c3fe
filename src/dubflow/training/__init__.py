"""Training of any family: where it runs, checkpoints, processes, order of batches, what happens beside the steps."""
