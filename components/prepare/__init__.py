"""The component prepare."""
