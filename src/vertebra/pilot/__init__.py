"""The pilot: a grid of trainings under one locked plan, run and continued on one machine."""
