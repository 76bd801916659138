"""Meta-World: fifty tasks of one arm, served from a virtual environment of their own."""
