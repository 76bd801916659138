"""Policies: what acts, how it is put together from a recipe, and how it is stored."""
