"""Flow matching as nouns: path, times, predictions, weights, grids, solver. Time 0 is noise."""
