"""LTX-2 in diffusers' own classes: parts, geometry, positions, loading, saving, memory."""
