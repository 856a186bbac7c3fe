"""Rectified flow in sigma: path, training's noise levels, schedules, sampler."""
