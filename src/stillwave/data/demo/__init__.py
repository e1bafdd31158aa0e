"""A corpus made on the spot: espeak-ng voices and synthesised noises, nothing downloaded."""
