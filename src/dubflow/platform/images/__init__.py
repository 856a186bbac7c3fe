"""Dockerfiles of the project: read, held to rules, and what an image has in it."""
