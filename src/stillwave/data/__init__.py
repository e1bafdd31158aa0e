"""Recordings, and mixtures of them: manifests, splits, mixing on the fly, fixed test sets."""

from stillwave.data.manifest import ManifestError, Recording, read_manifest, write_manifest

__all__ = ["ManifestError", "Recording", "read_manifest", "write_manifest"]
