"""Manifests, splits, mixing during training, and fixed test sets."""
