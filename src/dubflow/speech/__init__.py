"""Phonemes, voices, forced alignment, duration grids, prosody and the door to the codecs."""
