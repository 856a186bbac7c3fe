"""Clips in and out of files; the only room that opens a container."""
