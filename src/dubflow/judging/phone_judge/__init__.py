"""Phones of seven languages by a small network that was trained here, on talkers that it is never tested on."""
