"""LingBot-VA's weights under our recipe give what its own transformer gave, chunk after chunk."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from checks import lingbot_va
from checks.latent_robot import noise
from checks.library import relative_error
from fakes.checkpoint_files import recorded as layout
from fakes.episodes import MAKES, NEEDS
from vertebra.data.statistics import Normaliser, Scaling
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.adapt_lingbot_va import (
    beside,
    lingbot_va_body,
    lingbot_va_sizes,
    our_name,
    over,
    renamed,
)
from vertebra.policy.losses import losses
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.policy.released_conventions import Robot
from vertebra.policy.released_wam import load_lingbot_va
from vertebra.policy.settings_wam import (
    LINGBOT_VA_FRANKA,
    LINGBOT_VA_LIBERO,
    LINGBOT_VA_ROBOTWIN,
    LingBotVaSetting,
)
from vertebra.policy.targets import Examples
from vertebra.recipes.dreamzero import DREAMZERO
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.recipes.lingbot_va import LINGBOT_VA, LINGBOT_VA_SHARED
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Dim, Observation

MADE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded/lingbot_va_network.json").read_text()
)
NEAR = 2e-5
TABLE = LINGBOT_VA_SHARED.table
OWN = replace(MAKES, dims=MAKES.dims[: len(lingbot_va.USED)])
SETTING = LingBotVaSetting(
    name="a table",
    cameras=("observation.images.front_rgb", "observation.images.hand_rgb"),
    height=32,
    width=32,
    used=lingbot_va.USED,
    low=(-1.0, -0.5, 0.0),
    high=(1.0, 0.5, 1.0),
    actions=4,
)
ROBOT = Robot(needs=NEEDS, makes=OWN, cameras={"front": ("front_rgb",), "wrist": ("hand_rgb",)})
SHAPE = replace(lingbot_va.SHAPE, makes=SETTING.spread(OWN, len(MAKES.dims)))
PARTS: dict[str, Any] = {"encode": lingbot_va.encoded, "texts": lingbot_va.told, "robot": ROBOT}


def test_two_chunks_are_those_of_the_original() -> None:
    found = lingbot_va.our_chunks(lingbot_va.network())
    assert set(found) == set(MADE)
    for name, value in found.items():
        assert relative_error(value, torch.tensor(MADE[name])) < NEAR, name
    start = noise(lingbot_va.SHAPE, 1)["action"][..., lingbot_va.USED]
    assert relative_error(start, torch.tensor(MADE["action 1"])) > 0.1


@pytest.mark.parametrize(
    "weight",
    [
        "attention.experts.video.0.attn1.norm_k.weight",
        "attention.experts.video.1.attn2.to_v.weight",
        "attention.norms.video.scale_shift_table",
        "conditions.action.time_proj.weight",
        "conditions.video.text_embedder.linear_2.weight",
        "conditions.video.time_proj.weight",
        "inputs.future.weight",
        "inputs.action.weight",
    ],
)
def test_every_part_matters_to_the_comparison(weight: str) -> None:
    network = lingbot_va.network()
    with torch.no_grad():
        network.get_parameter(weight).mul_(0.5)
    found = lingbot_va.our_chunks(network)["action 1"]
    assert relative_error(found, torch.tensor(MADE["action 1"])) > NEAR


@pytest.mark.parametrize("name", ["policy_lingbot_va", "policy_lerobot_lingbot_va"])
def test_names_of_released_weights_are_all_known(name: str) -> None:
    released = {our_name(weight) for weight in layout(name).tensors}
    own = set(lingbot_va.network().state_dict())
    assert released == {n for n in own if not n.startswith("inputs.clean_")}
    with pytest.raises(SpecMismatch, match=r"'value_head.weight' is no weight of LingBot-VA"):
        renamed({"value_head.weight": torch.zeros(1)}, TABLE)


def saved(directory: Path, *, ported: bool) -> Path:
    """Weights as LingBot-VA saves them, or as LeRobot does; returns the file."""
    inside = directory if ported else directory / "transformer"
    inside.mkdir(parents=True, exist_ok=True)
    config = {**lingbot_va.CONFIG, "used_action_channel_ids": lingbot_va.USED}
    if ported:
        config = {"type": "lingbot_va", **{n: v for n, v in config.items() if n[0] != "_"}}
    (inside / "config.json").write_text(json.dumps(config))
    start = "transformer." if ported else ""
    path = inside / "model.safetensors"
    save_file({start + name: value for name, value in lingbot_va.weights().items()}, path)
    return path


@pytest.mark.parametrize("ported", [False, True])
def test_a_saved_lingbot_va_is_loaded_and_a_damaged_one_refused(
    ported: bool, tmp_path: Path
) -> None:
    path = saved(tmp_path, ported=ported)
    network = load_lingbot_va(SHAPE, tmp_path, SETTING, **PARTS).eval()
    found = lingbot_va.our_chunks(network)["action 1"]
    assert relative_error(found, torch.tensor(MADE["action 1"])) < NEAR
    damaged = load_file(path)
    start = "transformer." if ported else ""
    damaged[start + "action_embedder.weight"] = torch.zeros(2, 2)
    del damaged[start + "proj_out.bias"]
    save_file(damaged, path)
    told = r"(?s)outputs.future.proj_out.bias' is missing.*inputs.action.weight.*\[2, 2\]"
    with pytest.raises(SpecMismatch, match=told):
        load_lingbot_va(SHAPE, tmp_path, SETTING, **PARTS)


def test_swapped_cameras_other_channels_and_foreign_statistics_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, ported=True)

    def told(setting: LingBotVaSetting = SETTING, **changes: Any) -> str:
        parts = {**PARTS, "robot": replace(ROBOT, **changes)}
        with pytest.raises((SpecMismatch, ValueError)) as caught:
            load_lingbot_va(SHAPE, tmp_path, setting, **parts)
        return str(caught.value)

    swapped = {"front": ("hand_rgb",), "wrist": ("front_rgb",)}
    assert "the cameras are swapped" in told(cameras=swapped)
    assert "uses the channels [0, 1, 3], a table has [0, 1, 2]" in told(
        replace(SETTING, used=(0, 1, 2))
    )
    assert "between -90 and 90 in the statistics" in told(
        replace(SETTING, low=(-90.0, -0.5, 0.0), high=(90.0, 0.5, 1.0))
    )
    assert "another observation or action" in told(makes=replace(OWN, rate_hz=5.0))


@pytest.mark.parametrize(
    "setting",
    [LINGBOT_VA_LIBERO, LINGBOT_VA_ROBOTWIN, LINGBOT_VA_FRANKA],
    ids=lambda setting: setting.name,
)
def test_numbers_of_a_robot_lie_in_its_channels(setting: LingBotVaSetting) -> None:
    """The ends of what its numbers were become -1 and 1, and nothing else moves."""
    count = len(setting.used)
    assert len(setting.low) == len(setting.high) == count == setting.stated.action.width
    own = replace(MAKES, dims=tuple(Dim(name=f"own_{i}", unit="1") for i in range(count)))
    whole = setting.spread(own, 30)
    assert [whole.dims[i].name for i in setting.used] == [dim.name for dim in own.dims]
    normaliser = setting.normaliser(whole)
    low, high = np.full((2, 1, 30), 0.25)
    low[:, setting.used], high[:, setting.used] = setting.low, setting.high
    rest = [i for i in range(30) if i not in setting.used]
    for ends, wanted in ((low, -1.0), (high, 1.0)):
        found = normaliser.normalise(ends)[0]
        np.testing.assert_allclose(found[list(setting.used)], wanted, atol=1e-4)
        np.testing.assert_array_equal(found[rest], np.float32(0.25))


def plain(names: tuple[str, ...]) -> Normaliser:
    ends: dict[str, Any] = {"offset": (0.0,) * len(names), "scale": (1.0,) * len(names)}
    return Normaliser(scaling=Scaling.QUANTILES, names=names, rows=1, **ends)


def test_a_loaded_policy_acts_chunk_after_chunk() -> None:
    policy = TrainedPolicy(
        network=lingbot_va.network(),
        state_normaliser=plain(tuple(dim.name for dim in NEEDS.state)),
        action_normaliser=plain(tuple(dim.name for dim in MAKES.dims)),
    )
    sessions = [policy.start(seed) for seed in (0, 1)]
    chunks: list[torch.Tensor] = []
    done = torch.zeros(0, len(MAKES.dims)).numpy()
    for at in (0, 1):
        given = lingbot_va.given(at)
        observations = [
            Observation(
                images={name: image[i].numpy() for name, image in given.images.items()},
                state=given.state[i].numpy(),
                instruction=given.instructions[i],
                executed=done,
            )
            for i in (0, 1)
        ]
        answers = policy.act_batch(sessions, observations)
        sessions, acts = [s for s, _ in answers], [act for _, act in answers]
        done = acts[0].chunk
        chunks.append(torch.from_numpy(done))
    assert all(chunk.isfinite().all() for chunk in chunks)
    assert not torch.equal(chunks[0], chunks[1])


def test_training_reaches_all_that_is_read() -> None:
    network = Network(
        lingbot_va.SHAPE,
        lingbot_va_body(lingbot_va.SHAPE, lingbot_va.SIZES, lingbot_va.encoded, lingbot_va.told),
    )
    count, horizon = lingbot_va.COUNT, lingbot_va.SHAPE.horizon
    samples = [
        Examples(
            given=lingbot_va.given(at),
            actions=torch.zeros(count, horizon, len(MAKES.dims)),
            action_mask=torch.ones(count, horizon, dtype=torch.bool),
            future=torch.cat(
                [image[:, None] for image in lingbot_va.given(at + 1).images.values()], dim=3
            ),
            future_mask=torch.ones(count, 1, dtype=torch.bool),
            future_state=torch.zeros(count, 1, len(NEEDS.state)),
            points=torch.full((count, 2, 2), torch.nan),
            frame=torch.full((count,), at),
            length=torch.full((count,), 9),
            real=torch.ones(count, dtype=torch.bool),
        )
        for at in (0, 1)
    ]
    terms = losses(network, samples, torch.Generator().manual_seed(0))
    assert set(terms) == {"future", "action"}
    torch.stack([term.mean() for term in terms.values()]).sum().backward()
    untouched = {name for name, value in network.named_parameters() if value.grad is None}
    assert all(name.startswith("conditions.action.text_embedder.") for name in untouched)


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (LINGBOT_VA, r"'action' is served by 'action', expected video"),
        (DREAMZERO, r"'state' is served by 'video', expected no such stream"),
        (FAST_WAM, r"(?s)what is told is .*does not go from chunk to chunk"),
    ],
    ids=lambda one: one.name if isinstance(one, Recipe) else "",
)
def test_a_recipe_that_cannot_stand_on_it_is_refused(recipe: Recipe, why: str) -> None:
    shape = replace(lingbot_va.SHAPE, recipe=recipe)
    with pytest.raises(ValueError, match=why):
        lingbot_va_body(shape, lingbot_va.SIZES, lingbot_va.encoded, lingbot_va.told)


def test_another_configuration_is_refused() -> None:
    wan = {name: value for name, value in lingbot_va.CONFIG.items() if name != "action_dim"}
    with pytest.raises(ValueError, match="'WanTransformer3DModel', expected LeRobot's"):
        lingbot_va_sizes(wan)
    with pytest.raises(ValueError, match="'pi0', expected LeRobot's"):
        lingbot_va_sizes({"type": "pi0"})


def test_cameras_lie_where_each_release_has_them() -> None:
    """Latents say from which camera they come and how large its pictures were."""

    def encode(pictures: torch.Tensor) -> torch.Tensor:
        height, width = pictures.shape[2] // 16, pictures.shape[3] // 16
        return pictures[:, 0, 0, 0, 0].float().view(-1, 1, 1, 1, 1).expand(-1, 1, 1, height, width)

    views = [torch.full((1, 1, 40, 40, 3), i, dtype=torch.uint8) for i in (1, 2, 3)]
    whole = torch.cat(views, dim=3)
    side = beside(encode, 3, 16, 32)(whole)[0, 0, 0]
    assert side.tolist() == [[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]]
    tee = over(encode, 32, 64)(whole)[0, 0, 0]
    assert tee.tolist() == [[2.0, 2.0, 3.0, 3.0], [1.0] * 4, [1.0] * 4]
