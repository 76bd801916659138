"""LIBERO: five suites of tasks on robosuite, served from a virtual environment of their own."""
