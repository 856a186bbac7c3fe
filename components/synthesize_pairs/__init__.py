"""The component synthesize_pairs."""
