"""Comparison of distillation methods: a grid of runs, scored and reported with confidence intervals."""

from stillwave.compare.flow import GridResult, compare, write_report
from stillwave.compare.grid import Cell, Grid, open_grid

__all__ = ["Cell", "Grid", "GridResult", "compare", "open_grid", "write_report"]
