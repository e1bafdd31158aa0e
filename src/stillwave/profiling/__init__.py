"""Profiling: complexity, receptive field and time per frame of networks and exported files."""
