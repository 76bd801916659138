"""Training: one loop for all recipes."""
