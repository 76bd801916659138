"""Carries out a job with small parts: ``python job_main.py JOB.json``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.training import PARTS
from vertebra.pilot.execute import end_with_parent, say
from vertebra.pilot.work import run_job

if __name__ == "__main__":
    end_with_parent()
    try:
        run_job(Path(sys.argv[1]), PARTS, say)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
