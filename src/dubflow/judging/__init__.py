"""Metrics of clips, whoever made them; never imports an engine."""
