"""A minimal recipe, and the error message of a faulty one."""

import pytest

from stillwave.errors import RecipeError
from stillwave.recipe import loads

BASE = "data: {train: {speech: a, noise: b}, development: d}\n"


def fault(text, *overrides, **options):
    """Return the message of the error that loading a recipe raises."""
    with pytest.raises(RecipeError) as caught:
        loads(text, overrides, name="recipe.yaml", **options)
    return str(caught.value)
