"""Synthetic media and a misbehaving local server: the demonstration, and the tests' material."""
