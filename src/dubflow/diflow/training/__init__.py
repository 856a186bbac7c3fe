"""Training of both stages on Lightning: batches by plan, exact resumption, checkpoints without pickle."""
