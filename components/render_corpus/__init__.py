"""The component render_corpus."""
