"""The component register."""
