"""Recordings, and mixtures of them: manifests, splits, mixing on the fly, fixed test sets."""
