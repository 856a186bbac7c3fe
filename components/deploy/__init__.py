"""The component deploy."""
