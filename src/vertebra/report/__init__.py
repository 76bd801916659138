"""One self-contained HTML page from a run directory. Renders; computes no statistics."""
