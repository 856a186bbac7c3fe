"""Calibration: clips spoilt in known ways, and the order in which every metric must put them."""
