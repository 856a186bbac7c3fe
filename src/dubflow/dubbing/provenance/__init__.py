"""Where an output comes from: signed into it (C2PA), and read back."""
