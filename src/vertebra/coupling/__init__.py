"""Couplings: how action tokens meet the tokens of a backbone."""
