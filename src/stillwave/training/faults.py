"""What PyTorch says when the machine or a recording lets it down, in one sentence that can be acted on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stillwave.errors import StillwaveError
from stillwave.schema import Recipe


@contextmanager
def explained(recipe: Recipe) -> Iterator[None]:
    """Turn errors of worker processes, and memory running out, into StillwaveErrors."""
    try:
        yield
    except StillwaveError as error:
        if "Original Traceback" not in str(error):
            raise
        raise StillwaveError(_last_line(str(error))) from None
    except torch.OutOfMemoryError:
        batch = recipe.train.batch_size
        raise StillwaveError(
            f"not enough memory on the GPU for train.batch_size {batch}; lower it, and raise "
            "train.accumulate to keep the size of an update"
        ) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise StillwaveError(
            "a process that makes mixtures was ended from outside, most often for want of memory; "
            "lower data.workers"
        ) from None


def _last_line(message: str) -> str:
    """A worker's error comes with its traceback as text, which ends on `module.Class: message`."""
    return message.strip().splitlines()[-1].partition(": ")[2]
