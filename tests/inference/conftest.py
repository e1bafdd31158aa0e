"""The small causal network that these tests share."""

from small_network import enhancer, file, network  # noqa: F401
