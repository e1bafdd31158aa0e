"""Export networks to ONNX, quantise them, and verify the files against their checkpoints."""
