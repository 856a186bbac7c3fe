"""Prompts of language-switching clips: their structure, the texts a model reads, and where they come from."""
