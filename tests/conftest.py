"""Puts this folder on the path: helpers such as `golden` are shared between the tests' folders."""
