"""JUST-DUB-IT: an in-context LoRA on LTX-2 that takes a clip in and gives it back speaking another language."""
