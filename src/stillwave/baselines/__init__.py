"""Baselines without training for several microphones: one channel, a fixed beam and an adaptive beam."""
