"""Score cards: what a system scored under a protocol, clip by clip and in sum, with intervals."""
