"""A folder in which the command line distils in seconds, and `stillwave enhance` with a small network."""

from cli_place import place  # noqa: F401
from enhance_command import enhance_model, run_enhance  # noqa: F401
