"""What a distillation compares and how it weighs its teacher's layers, to be looked at (`flow.py`)."""
