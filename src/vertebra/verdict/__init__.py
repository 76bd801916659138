"""The decision rule: a run's records and statistics in, words and numbers out."""
