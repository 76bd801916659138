"""Demonstrations on disk and in batches: LeRobot formats, frame cache, windows, normalisation."""
