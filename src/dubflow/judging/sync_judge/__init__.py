"""A small judge of audio-visual synchrony that was trained here, on talkers it is never tested on."""
