"""Layers. Shape letters: B batch, L tokens, S keys, H heads, D width, C channels."""
