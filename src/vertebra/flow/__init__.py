"""Flow matching as nouns: path, times, solver. Time 0 is noise and time 1 is data, everywhere."""
