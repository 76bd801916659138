"""Checks: of a run against its own records, and of checkpoints from elsewhere."""
