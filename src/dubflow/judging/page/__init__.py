"""The evidence page: one static HTML file a candidate, readable from disk without a network."""
