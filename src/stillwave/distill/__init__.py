"""Distillation: taps on any two networks, methods that compare them, and a Distiller that holds both."""

from stillwave.distill.balance import Balance
from stillwave.distill.distiller import Distiller
from stillwave.distill.i2srf_tfckd import I2srfTfckd
from stillwave.distill.method import METHODS, DistillError, Layer, Method, Observed, Shapes, register
from stillwave.distill.taps import Taps

__all__ = [
    "METHODS",
    "Balance",
    "DistillError",
    "Distiller",
    "I2srfTfckd",
    "Layer",
    "Method",
    "Observed",
    "Shapes",
    "Taps",
    "register",
]
