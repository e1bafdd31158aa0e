"""Run one job of a grid: `python -m stillwave.compare JOB`."""

import sys

from stillwave.compare.work import main

raise SystemExit(main(sys.argv[1:]))
