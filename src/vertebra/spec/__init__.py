"""Words that every part of vertebra speaks. Imports numpy and the standard library only."""
