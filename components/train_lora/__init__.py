"""The component train_lora."""
