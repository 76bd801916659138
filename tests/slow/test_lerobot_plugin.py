"""The plug-in, found, built, trained, saved and loaded by LeRobot's own code.

Runs where LeRobot is installed, which has pins of its own; docs/lerobot.md says how.
"""

import importlib
import json
import logging
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from checks import lerobot
from fakes.episodes import MAKES, NEEDS, SENTENCES
from fakes.networks import observation, policy_of
from house import repository
from vertebra import recipes
from vertebra.policy.checkpoint import save_policy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]
PLACE = repository.ROOT / "plugins" / "lerobot_policy_vertebra"
RATE = int(NEEDS.rate_hz)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """LeRobot's factory, after it has looked for plug-ins among the installed distributions."""
    pytest.importorskip("lerobot.policies.factory", exc_type=ImportError)
    known = tomllib.loads((PLACE / "pyproject.toml").read_text())["project"]
    installed = tmp_path_factory.mktemp("installed")
    facts = installed / f"{known['name']}-{known['version']}.dist-info"
    facts.mkdir()
    words = f"Metadata-Version: 2.1\nName: {known['name']}\nVersion: {known['version']}\n"
    (facts / "METADATA").write_text(words)
    sys.path[:0] = [str(installed), str(PLACE / "src")]
    importlib.invalidate_caches()
    logging.disable(logging.CRITICAL)
    importlib.import_module("lerobot.utils.import_utils").register_third_party_plugins()
    logging.disable(logging.NOTSET)
    return importlib.import_module("lerobot.policies.factory")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_policy(tmp_path / "checkpoint", policy_of(recipes.by_name("fast-wam")), {})
    return tmp_path / "checkpoint"


def batch_of(rows: int = 2, frames: int | None = None) -> dict[str, Any]:
    """A batch as LeRobot's loader makes it: pictures in [0, 1], channels first."""
    seen = [observation(row, SENTENCES[row % 3]) for row in range(rows)]

    def stacked(values: list[np.ndarray]) -> torch.Tensor:
        value = torch.from_numpy(np.stack(values))
        return value if frames is None else value[:, None].expand(-1, frames, *value.shape[1:])

    found: dict[str, Any] = {
        f"observation.images.{camera.name}": stacked(
            [one.images[camera.name].transpose(2, 0, 1) / np.float32(255) for one in seen]
        )
        for camera in NEEDS.cameras
    }
    found["observation.state"] = stacked([one.state for one in seen])
    found["task"] = [one.instruction for one in seen]
    return found


def config_of(factory: Any, checkpoint: Path, **changes: Any) -> Any:
    return factory.make_policy_config(
        "vertebra", checkpoint=str(checkpoint), device="cpu", push_to_hub=False, **changes
    )


class Meta:
    """What LeRobot's factory asks of a data set."""

    def __init__(self, fps: int = RATE, actions: list[str] | None = None) -> None:
        names = [dim.name for dim in MAKES.dims] if actions is None else actions
        state = [dim.name for dim in NEEDS.state]
        self.fps, self.stats = fps, dict[str, Any]()
        self.features = {
            "action": {"dtype": "float32", "shape": (len(names),), "names": names},
            "observation.state": {"dtype": "float32", "shape": (len(state),), "names": state},
            **{
                f"observation.images.{camera.name}": {
                    "dtype": "image",
                    "shape": (camera.height, camera.width, 3),
                    "names": ["height", "width", "channels"],
                }
                for camera in NEEDS.cameras
            },
        }


def test_it_is_found_and_acts_as_the_policy_itself(factory: Any, checkpoint: Path) -> None:
    policy = factory.make_policy(config_of(factory, checkpoint), ds_meta=Meta())
    assert type(policy).__name__ == "VertebraPolicy"
    assert factory.get_policy_class("vertebra") is type(policy)
    batch = batch_of()
    own = policy_of(recipes.by_name("fast-wam"))
    first = policy.predict_action_chunk(batch)
    seeds = [session.seed for session in policy.sessions]
    seen = [observation(row, SENTENCES[row]) for row in range(2)]
    wanted = own.act_batch([own.start(seed) for seed in seeds], seen)
    np.testing.assert_allclose(
        first.numpy(), np.stack([act.chunk for _, act in wanted]), rtol=1e-5, atol=1e-6
    )


def test_actions_come_one_by_one_through_its_processors(factory: Any, checkpoint: Path) -> None:
    config = config_of(factory, checkpoint)
    policy = factory.make_policy(config, ds_meta=Meta())
    before, after = factory.make_pre_post_processors(policy_cfg=config, dataset_stats={})
    row = {name: value[0] for name, value in batch_of(1).items()}
    actions = [after(policy.select_action(before(row))) for _ in range(2 * policy.policy.execute)]
    assert {tuple(action.shape) for action in actions} == {(1, len(MAKES.dims))}
    assert policy.sessions[0].chunks == 2
    policy.reset()
    assert not policy.sessions


def test_it_trains_and_what_lerobot_saves_stands_by_itself(
    factory: Any, checkpoint: Path, tmp_path: Path
) -> None:
    config = config_of(factory, checkpoint)
    policy = factory.make_policy(config, ds_meta=Meta())
    frames, horizon = len(config.observation_delta_indices), len(config.action_delta_indices)
    batch = batch_of(4, frames)
    batch["action"] = 0.3 * torch.ones(4, horizon, len(MAKES.dims))
    batch["frame_index"] = torch.arange(4)
    policy.train()
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-3)
    seen: list[float] = []
    for _ in range(30):
        loss, told = policy(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(float(loss.detach()))
        assert {"action", "future"} <= set(told)
    assert np.mean(seen[-5:]) < 0.8 * np.mean(seen[:5])
    policy.save_pretrained(tmp_path / "saved")
    for path in checkpoint.iterdir():
        path.unlink()  # nothing of it is needed any more
    kept = importlib.import_module("lerobot.configs.policies").PreTrainedConfig.from_pretrained(
        tmp_path / "saved"
    )
    assert not kept.checkpoint
    kept.pretrained_path = tmp_path / "saved"
    again = factory.make_policy(kept, ds_meta=Meta())
    for name, value in policy.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["type"] == "vertebra"


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (Meta(fps=RATE + 5), "its rate is"),
        (Meta(actions=["a", "b", "c", "gripper"]), "'action' is"),
    ],
)
def test_another_meaning_is_refused(factory: Any, checkpoint: Path, meta: Meta, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        factory.make_policy(config_of(factory, checkpoint), ds_meta=meta)


def test_without_a_checkpoint_it_says_what_is_missing(factory: Any, tmp_path: Path) -> None:
    for place, words in (("", "needs a checkpoint"), (str(tmp_path), "holds no checkpoint")):
        with pytest.raises(ValueError, match="vertebra") as caught:
            factory.make_policy_config("vertebra", device="cpu", checkpoint=place)
        assert words in str(caught.value.__cause__ or caught.value)


def test_what_batches_do_not_hold_is_not_trained_here(factory: Any, tmp_path: Path) -> None:
    save_policy(tmp_path / "rolling", policy_of(recipes.by_name("dreamzero")), {})
    policy = factory.make_policy(config_of(factory, tmp_path / "rolling"), ds_meta=Meta())
    with pytest.raises(ValueError, match="chunks before the present one"):
        policy(batch_of())


def test_the_recorded_conventions_are_those_of_the_installed_lerobot(factory: Any) -> None:
    recorded = json.loads(lerobot.RECORD.read_text())
    assert {name: recorded[name] for name in ("prefix", "sides")} == lerobot.conventions()
