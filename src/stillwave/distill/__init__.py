"""Distillation: taps on any two networks, methods that compare them, and a Distiller that holds both."""

import stillwave.distill.methods  # noqa: F401  registers them
from stillwave.distill.balance import Balance
from stillwave.distill.distiller import Distiller
from stillwave.distill.method import METHODS, DistillError, Given, Layer, Method, Observed, Shapes, register
from stillwave.distill.methods.i2srf_tfckd import I2srfTfckd
from stillwave.distill.taps import Taps

__all__ = [
    "METHODS",
    "Balance",
    "DistillError",
    "Distiller",
    "Given",
    "I2srfTfckd",
    "Layer",
    "Method",
    "Observed",
    "Shapes",
    "Taps",
    "register",
]
