"""The component fit_codec."""
