"""The demo corpus: espeak-ng voices and synthetic noises, without a download."""
