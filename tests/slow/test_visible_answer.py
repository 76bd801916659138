"""Every recipe solves a world whose answer is visible, and its blind twin cannot.

The word gives one of four directions, the colour one of two gripper commands. A recipe must get
both right in nine of ten new places after 300 steps at tiny size (8 to 45 s on one core). A twin
that hears nothing must read the colour as well, and be near the one in four of guessing directions.

Where a separate inverse dynamics model acts, word and colour have to pass through imagined pixels;
imagining is tested for every recipe that imagines, against the present frame.
"""

from pathlib import Path

import pytest

from fakes.visible_answer import scores, visible_cache, visible_training
from vertebra import recipes
from vertebra.data.cache import FrameCache
from vertebra.policy.checkpoint import load_policy
from vertebra.policy.recipe import Recipe
from vertebra.train.imagine import imagined_evidence
from vertebra.train.loop import train
from vertebra.train.prepare import prepare

STEPS, SOLVED, GUESSED = 300, 0.9, 0.5
SLOWER = {"vpp": 700, "unipi": 5000}
"""What they act on has to be foreseen before it can be read: by features, or in pixels."""

BLINDED = ("pi0", "gr00t", "fast-wam", "dreamzero", "motus")
"""One recipe of each mechanism that solves it all; fast tests show that no twin hears anything."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return visible_cache(tmp_path_factory.mktemp("visible") / "cache")


@pytest.mark.parametrize("recipe", recipes.ALL, ids=lambda recipe: recipe.name)
def test_what_is_visible_is_learned(recipe: Recipe, cache: FrameCache, tmp_path: Path) -> None:
    spec = visible_training(recipe, cache, SLOWER.get(recipe.name, STEPS))
    train(spec, tmp_path)
    policy = load_policy(tmp_path / "checkpoint")
    direction, gripper = scores(policy)
    assert direction >= SOLVED, "the word was not followed"
    assert gripper >= SOLVED, "the colour was not read"
    figures, _ = imagined_evidence(prepare(spec), policy, tmp_path)
    if figures is not None:
        errors = figures["sample_error_moving"], figures["copy_error_moving"]
        assert errors[0] < 0.95 * errors[1], "what is imagined is no better than the present frame"


@pytest.mark.parametrize("name", BLINDED)
def test_what_is_not_heard_is_not_learned(name: str, cache: FrameCache, tmp_path: Path) -> None:
    train(visible_training(recipes.by_name(name).blinded(), cache, STEPS), tmp_path)
    direction, gripper = scores(load_policy(tmp_path / "checkpoint"))
    assert direction <= GUESSED, "the direction leaked into what is seen"
    assert gripper >= SOLVED, "the colour was not read"
