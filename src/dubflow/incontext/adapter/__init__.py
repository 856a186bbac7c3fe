"""LoRA adapters on LTX-2: file formats, metadata, fusing, and what is trained."""
