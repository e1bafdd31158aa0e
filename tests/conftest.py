"""Puts this folder on the path: helpers such as `golden` are shared between the tests' folders."""

import gc
import os
import signal
import tempfile

# Networks here are small, and several processes run tests: more threads only wait. Set before PyTorch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Defaults of whoever runs the tests do not change them.
os.environ["XDG_CONFIG_HOME"] = tempfile.gettempdir() + "/no-configuration"
for name in ("STILLWAVE_MODEL", "STILLWAVE_JOBS", "STILLWAVE_DEVICE"):
    os.environ.pop(name, None)

# A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that: tests that press it
# would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is imported and collected lives to the end: there is no garbage to look for in it, neither now nor in each test.
gc.disable()


def pytest_collection_finish(session):
    gc.freeze()
    gc.enable()
