"""The component train_tts."""
