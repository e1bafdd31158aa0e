"""The small causal network that these tests share."""

from small_network import file, network  # noqa: F401
