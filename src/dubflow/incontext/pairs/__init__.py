"""Pairs of clips to learn dubbing from."""
