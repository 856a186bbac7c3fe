"""What fits on which device, before anything is run."""
