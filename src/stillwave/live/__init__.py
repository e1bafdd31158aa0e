"""Live processing: sound devices, raw PCM in pipes, and the thread that enhances between two device callbacks."""
