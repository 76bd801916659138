"""The same seed gives the same weights in every process, whatever order Python's sets have there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import hashlib, json
from fakes.networks import SIGHTED, label, network_of
digests = {
    label(recipe): hashlib.sha256(
        b"".join(v.detach().numpy().tobytes() for v in network_of(recipe).parameters())
    ).hexdigest()
    for recipe in SIGHTED
}
print(json.dumps([list({"video", "action"}), digests]))
"""


@pytest.mark.slow
def test_initial_weights_do_not_depend_on_the_order_of_sets() -> None:
    tests = Path(__file__).parents[1]
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(tests)},
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        )
        for seed in ("0", "1", "2", "3")
    ]
    assert len({tuple(order) for order, _ in found}) == 2, "these hash seeds prove nothing"
    assert all(digests == found[0][1] for _, digests in found)
