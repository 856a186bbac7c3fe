"""Dubbing a clip: latents, schedules, guidance, windows, and the way back to the source's own frames."""
