"""Backbones: where a policy's knowledge of the world sits."""
