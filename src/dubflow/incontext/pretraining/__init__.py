"""Training a whole LTX-2 from nothing, at a size that a processor can train."""
