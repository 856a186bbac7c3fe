"""Judges whose large networks somebody brings: loaded from files that are named, never fetched by themselves."""
