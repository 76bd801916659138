"""CALVIN: a table with blocks, a drawer, a sliding door and lights, asked for in chains of five."""
