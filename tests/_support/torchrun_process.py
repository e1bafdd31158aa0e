"""Training by torchrun, in processes of its own."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1] / "_support"


def torchrun(run, *overrides, processes=2):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    command += [str(HERE / "toy.py"), str(run), *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
