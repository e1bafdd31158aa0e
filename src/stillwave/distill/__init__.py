"""Distillation: taps on any two networks, methods that compare them, and a Distiller that holds both."""

import stillwave.distill.methods  # noqa: F401  registers them
from stillwave.distill.distiller import Distiller
from stillwave.distill.external_teacher import ExternalTeacher
from stillwave.distill.method import (
    METHODS,
    BatchInputs,
    DistillError,
    Layer,
    Method,
    ModelOutputs,
    Shapes,
    register,
)
from stillwave.distill.methods.i2srf_tfckd import I2srfTfckd
from stillwave.distill.schedule import Balance
from stillwave.distill.taps import Taps

__all__ = [
    "METHODS",
    "Balance",
    "BatchInputs",
    "DistillError",
    "Distiller",
    "ExternalTeacher",
    "I2srfTfckd",
    "Layer",
    "Method",
    "ModelOutputs",
    "Shapes",
    "Taps",
    "register",
]
