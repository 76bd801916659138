"""Synthetic pilots with known truth: how often the decision rule errs, and what a design finds."""
