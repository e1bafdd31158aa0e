"""Statistics: bootstrap intervals, and effects over seeds and recordings."""
