"""The component import_corpus."""
