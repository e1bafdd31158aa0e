"""Simulated scenes for two first-order ambisonic microphones: rooms, sources, encoding, corpora on disk."""
