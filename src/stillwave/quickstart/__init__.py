"""The quick start: recordings, training, scores and an HTML report with audio."""
