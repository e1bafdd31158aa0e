"""A folder in which the command line distils in seconds."""

from cli_place import place  # noqa: F401
