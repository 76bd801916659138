"""openpi's client from PyPI, and RoboArena's where its repository is at hand, ask every recipe.

openpi-client demands numpy < 2, so it gets a virtual environment of its own, made here (about ten
seconds; it fails to name typing_extensions, which it imports). RoboArena's client is on no package
index: its 100 requests are asked by a robot that speaks its wire (``fakes.serving``), and by the
real one where ``ROBOARENA_CLONE`` names a clone of github.com/robo-arena/roboarena.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.networks import label, observation, policy_of
from fakes.serving import Robot, droid_policy, openpi_message, roboarena_message, serving
from vertebra.policy.recipe import Recipe
from vertebra.recipes import ALL
from vertebra.serve.dialect import roboarena_dialect
from vertebra.spec.seeds import seed_at

COUNT, COMPARED = 100, 3
CLONE = "ROBOARENA_CLONE"
CLIENT = Path(__file__).parents[1] / "fakes/real_client.py"
every_recipe = pytest.mark.parametrize("recipe", ALL, ids=label)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the real client."""
    root = tmp_path_factory.mktemp("openpi")
    found = root / "bin/python"
    pip = [str(found), "-m", "pip", "install", "--quiet", "openpi-client", "typing_extensions"]
    for command in ([sys.executable, "-m", "venv", str(root)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and not os.environ.get("CI"):
            pytest.skip(f"openpi-client cannot be had here: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr
    return found


def written(path: Path, messages: list[dict[str, Any]]) -> Path:
    """Observations as a file that every version of numpy reads."""
    keys = [key for key, value in messages[0].items() if isinstance(value, np.ndarray)]
    arrays: dict[str, Any] = {key: np.stack([one[key] for one in messages]) for key in keys}
    np.savez(path, count=np.array(COUNT), prompt=np.array(messages[0]["prompt"]), **arrays)
    return path


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a robot of openpi's sees."""
    messages = [openpi_message(observation(number)) for number in range(COUNT)]
    return written(tmp_path_factory.mktemp("seen") / "openpi.npz", messages)


def answers(python: Path, *words: str, path: str = "") -> dict[str, Any]:
    """What the client's program says that came back."""
    done = subprocess.run(
        [str(python), str(CLIENT), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@every_recipe
def test_a_hundred_requests_of_the_openpi_client(recipe: Recipe, python: Path, seen: Path) -> None:
    policy = policy_of(recipe)
    with serving(policy_of(recipe)) as served:
        said = answers(python, "openpi", served.url, str(seen))
    assert said["greeting"]["execute"] == policy.execute
    assert len(said["chunks"]) == COUNT
    session, executed = policy.start(seed_at(0, "served", 0)), observation(0).executed
    for number in range(COMPARED):
        session, act = policy.act(session, replace(observation(number), executed=executed))
        executed = act.chunk[: policy.execute]
        digest = hashlib.sha256(act.chunk.tobytes()).hexdigest()
        assert said["chunks"][number] == {"shape": list(act.chunk.shape), "sha": digest}


@every_recipe
def test_a_hundred_requests_in_the_words_of_roboarena(recipe: Recipe) -> None:
    policy = droid_policy(recipe)
    with serving(policy, roboarena_dialect(policy)) as served:
        robot = Robot(served.url)
        for number in range(COUNT):
            answer = robot.send(roboarena_message(number, session=f"s{number // 20}-A"))
            assert answer["actions"].shape == (policy.execute, 8)
            assert np.isfinite(answer["actions"]).all()
        robot.close()


@pytest.mark.skipif(CLONE not in os.environ, reason=f"{CLONE} names no clone of RoboArena")
@every_recipe
def test_a_hundred_requests_of_the_roboarena_client(
    recipe: Recipe, python: Path, tmp_path: Path
) -> None:
    policy = droid_policy(recipe)
    messages = [roboarena_message(number) for number in range(COUNT)]
    path = written(tmp_path / "roboarena.npz", messages)
    with serving(policy, roboarena_dialect(policy)) as served:
        said = answers(python, "roboarena", served.url, str(path), path=os.environ[CLONE])
    assert said["greeting"]["n_external_cameras"] == 1
    assert [chunk["shape"] for chunk in said["chunks"]] == [[policy.execute, 8]] * COUNT
    assert len({chunk["sha"] for chunk in said["chunks"]}) > COUNT // 2
    assert said["reset"] == "reset successful"
