"""Blind comparisons of served policies on a team's own robot, after RoboArena's protocol."""
