"""Parts are crossed so that two arms differ in the named parts and in nothing else."""

from itertools import pairwise

import pytest

from fakes.episodes import random_cache, training
from fakes.networks import observation
from vertebra.cli.entry import run
from vertebra.policy.checkpoint import load_policy
from vertebra.recipes.crossing import LEVELS, crossed, read_factors
from vertebra.spec.streams import Role
from vertebra.train.loop import train

CORNERS = crossed(LEVELS["backbone"], LEVELS["coupling"])


def test_what_is_not_crossed_is_equal():
    assert len({recipe.name for recipe in CORNERS}) == len(CORNERS) == 4
    for one, other in pairwise(CORNERS):
        assert (one.schedule, one.noise) == (other.schedule, other.noise)
        assert one.table.named(Role.DENOISED) == other.table.named(Role.DENOISED) == ("action",)
        heard = [{"text", "state"} <= {*r.table.experts, *r.table.context} for r in (one, other)]
        assert heard == [True, True]
    for backbone, (joint, head) in zip(("vlm", "video"), (CORNERS[:2], CORNERS[2:]), strict=True):
        assert joint.backbone == head.backbone, backbone


@pytest.mark.parametrize("recipe", CORNERS, ids=lambda recipe: recipe.name)
def test_every_corner_trains_saves_and_acts(recipe, tmp_path):
    train(training(recipe, random_cache(tmp_path / "cache")), tmp_path / "out")
    policy = load_policy(tmp_path / "out" / "checkpoint")
    _, act = policy.act(policy.start(0), observation(0))
    assert act.chunk.shape[1] == len(policy.makes.dims)


def test_factors_are_read_in_words():
    names = [recipe.name for recipe in read_factors(("backbone=vlm,video",), "head")]
    assert names == ["vlm-head", "video-head"]
    assert [r.name for r in read_factors(("backbone=vlm,video",), None)] == [
        "vlm-joint",
        "video-joint",
    ]
    both = read_factors(("coupling=joint,head", "backbone=video,vlm"), None)
    assert [r.name for r in both] == ["video-joint", "video-head", "vlm-joint", "vlm-head"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--factor", "backbone=vlm,wan"], ("no level 'wan'", "['vlm', 'video']")),
        (["--factor", "size=a,b", "coupling"], ("'size=a,b'", "'coupling': expected PART=LEVEL")),
        (["--factor", "backbone=vlm"], ("nothing to compare",)),
        (["--factor", "backbone=vlm,vlm"], ("twice",)),
        (
            ["--factor", "coupling=joint,head", "--coupling", "head"],
            ("coupling is a factor and is also held",),
        ),
        (["--coupling", "head"], ("give --factor too",)),
        (["--factor", "backbone=vlm,video", "--recipes", "vpp"], ("leave out --recipes",)),
    ],
)
def test_what_cannot_be_crossed_is_refused_in_words(words, told, capsys, tmp_path):
    out = tmp_path / "out"
    assert run(["pilot", *words, "--out", str(out)]) == 2
    message = capsys.readouterr().err
    for part in told:
        assert part in message
    assert not out.exists()
