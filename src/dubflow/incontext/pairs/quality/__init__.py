"""Quality control of pairs: figures, and reasons against what is not to be trained on."""
