"""Environments: physics and cameras. They know neither policies nor torch."""
