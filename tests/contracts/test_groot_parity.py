"""GR00T N1.7's weights under our recipe; its head gives what LeRobot's code gives."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from checks import groot, pi0
from checks.library import relative_error
from fakes.episodes import MAKES, NEEDS
from vertebra.data.statistics import Scaling
from vertebra.policy.adapt_groot import Framing, groot_body, groot_release, plain, renamed
from vertebra.policy.passes import Passes
from vertebra.policy.released import fill_with
from vertebra.policy.released_conventions import Robot, convention_differences
from vertebra.policy.released_groot import groot_beside
from vertebra.recipes.pi0 import PI0
from vertebra.schedules.generate import generate
from vertebra.spec.errors import SpecMismatch

MADE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded/lerobot_groot.json").read_text()
)
NEAR = 2e-5
ROBOT = Robot(needs=NEEDS, makes=MAKES, cameras={"front": ("ego_view",), "wrist": ("wrist_image",)})


def test_actions_of_the_head_are_those_of_lerobot() -> None:
    wanted = torch.tensor(MADE["actions"])
    assert relative_error(groot.our_actions(groot.filled()), wanted) < NEAR
    assert relative_error(groot.start(), wanted) > 0.1


@pytest.mark.parametrize(
    "weight",
    [
        "conditions.action.linear_1.weight",
        "head.transformer_blocks.0.attn1.to_k.weight",
        "head.transformer_blocks.2.attn1.to_v.weight",
        "head.transformer_blocks.3.norm1.linear.weight",
        "inputs.action.place.weight",
        "mixing.transformer_blocks.0.norm1.weight",
        "outputs.action.layer2.W",
        "senses.state.layer1.W",
    ],
)
def test_every_part_of_the_head_matters_to_the_comparison(weight: str) -> None:
    changed = groot.filled()
    with torch.no_grad():
        changed.get_parameter(weight).mul_(0.5)
    assert relative_error(groot.our_actions(changed), torch.tensor(MADE["actions"])) > NEAR


def test_a_released_groot_loads_and_acts_with_nothing_missing_and_nothing_left_over() -> None:
    network, found = groot.network(), groot.weights()
    fill_with(network, renamed(found), "groot")
    torch.testing.assert_close(
        network.get_parameter("attention.experts.vlm.1.self_attn.q_norm.weight"),
        found["backbone.model.model.language_model.layers.1.self_attn.q_norm.weight"],
    )
    with torch.no_grad():
        start = {"action": groot.start()}
        passes = Passes(network.eval(), pi0.given())
        made = generate(network.shape.schedule, passes, start).values["action"]
    assert made.isfinite().all()
    assert relative_error(made, groot.start()) > 0.01


def test_a_damaged_groot_is_refused_with_everything_that_differs() -> None:
    damaged = groot.weights()
    damaged["action_head.state_encoder.layer1.W"] = torch.zeros(3, 3)
    del damaged["action_head.model.proj_out_2.bias"]
    with pytest.raises(SpecMismatch, match=r"(?s)head.proj_out_2.bias' is missing.*\[3, 3\]"):
        fill_with(groot.network(), renamed(damaged), "groot")
    with pytest.raises(SpecMismatch, match=r"'action_head\.ear' is no weight of GR00T"):
        renamed({"action_head.ear": torch.zeros(1)})


def test_pictures_stand_among_the_words_of_a_chat() -> None:
    senses: Any = groot.network().senses
    opening = 1 + len("user\n") + 1
    assert [len(words) for words in senses.before] == [opening, 2]
    shown = senses.pictures.tolist()
    assert shown == [False] * opening + [True] * 4 + [False] * 2 + [True] * 4 + [False]
    places = senses.places
    assert places[:opening].tolist() == [[i] * 3 for i in range(opening)]
    assert (places[opening : opening + 4] - opening).tolist() == [
        [0, 0, 0],
        [0, 0, 1],
        [0, 1, 0],
        [0, 1, 1],
    ]
    assert places[-1].tolist() == [opening + 2 + 2 + 2] * 3
    assert plain("Put the Bowl, on it!") == "put the bowl on it"


def test_the_middle_of_a_picture_is_kept_and_made_large() -> None:
    picture = torch.zeros(1, 20, 20, 3, dtype=torch.uint8)
    picture[:, 5:15, 5:15] = 200
    framed = Framing(edge=20, kept=0.5)(picture)
    assert framed.shape == (1, 20, 20, 3)
    assert int(framed[:, 3:17, 3:17].min()) > 190
    assert torch.equal(Framing(edge=20, kept=1.0)(picture), picture)


def test_robot_statistics_and_pictures_are_read_and_another_robot_refused(tmp_path: Path) -> None:
    beside = groot_beside(groot.save_beside(tmp_path), "lab")
    assert (beside.robot, beside.framing) == (groot.ROBOT, Framing(edge=32, kept=0.75))
    assert beside.scaling is Scaling.MIN_MAX
    assert beside.stated.action.names == ("xyz_0", "xyz_1", "xyz_2", "gripper")
    assert convention_differences(beside.stated, ROBOT) == []
    swapped = {"front": ("wrist_image",), "wrist": ("ego_view",)}
    (told,) = convention_differences(beside.stated, replace(ROBOT, cameras=swapped))
    assert "the cameras are swapped" in told
    robot = replace(ROBOT, states=torch.full((4, 3), 700.0).numpy())
    assert len(convention_differences(beside.stated, robot)) == 3
    with pytest.raises(ValueError, match=r"no robot 'arm': .*knows \['lab'\]"):
        groot_beside(tmp_path, "arm")


def test_other_configurations_and_recipes_are_refused_with_every_reason() -> None:
    with pytest.raises(ValueError, match=r"(?s)model_type is 'Gr00tN1d6'.*use_vlln is False"):
        groot_release({**groot.CONFIG, "model_type": "Gr00tN1d6", "use_vlln": False}, groot.BASE)
    release = groot_release(groot.CONFIG, groot.BASE)
    with pytest.raises(ValueError, match=r"(?s)no head of its own.*robot 9 is none of its 3"):
        groot_body(
            replace(groot.SHAPE, recipe=PI0),
            release,
            groot.StandEyes(),
            Framing(edge=32, kept=1.0),
            groot.split,
            9,
        )
