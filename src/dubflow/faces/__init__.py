"""Landmarks, face and lip crops, mouth measures, lip and face features."""
