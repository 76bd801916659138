"""Policies over the wire: a server for robots, a light client, and blind comparisons on a robot."""
