"""What a recipe's `data` section and metric name, opened: mixtures to train on and a development set."""

from __future__ import annotations
