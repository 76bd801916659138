"""Intervals, paired and crossed estimates, scaling fits. Pure numbers: no files, no records.

Undefined is ``None``, never 0.
"""
