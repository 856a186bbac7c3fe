"""Training a LoRA for dubbing on stored latents."""
