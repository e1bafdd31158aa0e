"""Convert PyTorch errors about memory and worker processes into one-sentence errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stillwave.errors import StillwaveError
from stillwave.schema import Recipe


@contextmanager
def explained(recipe: Recipe) -> Iterator[None]:
    """Raise errors of worker processes, and lack of memory, as StillwaveErrors."""
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
            "a worker process that makes mixtures was killed, probably for lack of memory; lower data.workers"
        ) from None


def _last_line(message: str) -> str:
    """Return the message of a worker's traceback, which ends with `module.Class: message`."""
    return message.strip().splitlines()[-1].partition(": ")[2]
