"""Puts this folder on the path: helpers such as `golden` are shared between the tests' folders."""

import signal

# A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that: tests that press it
# would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
