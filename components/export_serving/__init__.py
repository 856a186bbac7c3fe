"""The component export_serving."""
