"""The runs that these tests share."""

from cli_recordings import one_thread  # noqa: F401
from explained_runs import first_of_each, flagship, place, quick  # noqa: F401
