"""A GR00T N1.7 with weights and inputs that anyone can make again, and its head in LeRobot's code.

Run as ``python -m checks.groot FILE`` from ``tests`` with the ``src`` of lerobot @ 7427f318 on the
path and transformers 5.23 and diffusers 0.42 installed, this records what LeRobot's code gives.
"""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from checks import pi0
from checks.library import made_weights, numbers
from checks.originals import original
from checks.pi05 import Named
from fakes.checkpoint_files import recorded
from fakes.episodes import NEEDS
from vertebra.backbones.sizes import TINY
from vertebra.policy.adapt_groot import Framing, groot_body, groot_release, our_name, renamed
from vertebra.policy.network import Network, Scene
from vertebra.policy.senses import Context
from vertebra.recipes.gr00t import GR00T
from vertebra.spec.observation import Dim

LAYOUT = "policy_gr00t_n1_7"
ROBOT, ROBOTS, STEPS, COUNT = 1, 3, 4, 2
DIT = {
    "positional_embeddings": None,
    "num_layers": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "norm_type": "ada_norm",
    "dropout": 0.2,
    "final_dropout": True,
    "output_dim": 12,
    "interleave_self_attention": True,
}
MIXING = {
    "positional_embeddings": None,
    "num_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "dropout": 0.2,
    "final_dropout": True,
}
CONFIG: dict[str, Any] = {
    "model_type": "Gr00tN1d7",
    "select_layer": 2,
    "backbone_embedding_dim": 16,
    "max_state_dim": 9,
    "max_action_dim": 9,
    "action_horizon": TINY.horizon,
    "hidden_size": 12,
    "input_embedding_dim": 16,
    "state_history_length": 1,
    "add_pos_embed": True,
    "use_vlln": True,
    "max_seq_len": 20,
    "use_alternate_vl_dit": True,
    "attend_text_every_n_blocks": 2,
    "diffusion_model_cfg": DIT,
    "vl_self_attention_cfg": MIXING,
    "num_inference_timesteps": STEPS,
    "num_timestep_buckets": 1000,
    "max_num_embodiments": ROBOTS,
    "state_dropout_prob": 0.2,
}
BASE: dict[str, Any] = {
    "text_config": {
        "model_type": "qwen3_vl_text",
        "hidden_act": "silu",
        "attention_bias": False,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 1, 1],
        },
        "vocab_size": 40,
    },
    "vision_config": {"deepstack_visual_indexes": [0]},
}
SHAPE = replace(
    pi0.SHAPE,
    recipe=GR00T,
    makes=replace(
        pi0.SHAPE.makes,
        dims=(*pi0.SHAPE.makes.dims, *(Dim(name=f"unused_{i}", unit="1") for i in range(5))),
    ),
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")


def split(text: str) -> list[int]:
    """Special words and letters are tokens."""
    found: list[int] = []
    for part in re.split(r"(<\|[a-z_]+\|>)", text):
        found += [SPECIAL.index(part)] if part in SPECIAL else [4 + ord(one) % 30 for one in part]
    return found


class StandEyes(nn.Module):
    """Tokens of pictures that follow from a name, and the weights of a real encoder."""

    grid = (2, 2)

    def __init__(self) -> None:
        super().__init__()
        start = "senses.eyes."
        own = {n: s for name, s in recorded(LAYOUT).tensors.items() if (n := our_name(name))}
        inside = {n.removeprefix(start): tuple(s) for n, s in own.items() if n.startswith(start)}
        self.tower = Named({n.removeprefix("tower."): s for n, s in inside.items()})

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 4, 2 * D]."""
        mean = pictures.float().mean((1, 2, 3)) / 255.0
        return numbers("eyes", (4, 32)) * mean[:, None, None]


def network() -> Network:
    """Our network, with weights under GR00T's names."""
    body = groot_body(
        SHAPE, groot_release(CONFIG, BASE), StandEyes(), Framing(edge=32, kept=0.9), split, ROBOT
    )
    return Network(SHAPE, body)


def weights() -> dict[str, Tensor]:
    """A checkpoint with the recorded names and shapes."""
    return made_weights({n: tuple(shape) for n, shape in recorded(LAYOUT).tensors.items()})


def filled() -> Network:
    """Our network with them."""
    made = network()
    made.load_state_dict(renamed(weights()))
    return made.eval()


def save_beside(directory: Path, **asked: Any) -> Path:
    """What stands beside the weights: one robot, called ``lab``.

    Args:
        directory: Where to.
        asked: Settings of the processor that are other ones.
    """

    def table(count: int) -> dict[str, list[float]]:
        return {"min": [-1.0] * count, "max": [1.0] * count}

    parts = {
        "video": {"modality_keys": ["ego_view", "wrist_image"]},
        "state": {"modality_keys": ["xyz"]},
        "action": {
            "modality_keys": ["xyz", "gripper"],
            "action_configs": [{"rep": "DELTA"}, {"rep": "ABSOLUTE"}],
        },
    }
    statistics = {"state": {"xyz": table(3)}, "action": {"xyz": table(3), "gripper": table(1)}}
    settings = {
        "modality_configs": {"lab": parts},
        "use_relative_action": True,
        "image_target_size": [32, 32],
        "image_crop_size": [24, 24],
        **asked,
    }
    for name, plain in (
        ("processor_config.json", {"processor_kwargs": settings}),
        ("statistics.json", {"lab": statistics}),
        ("embodiment_id.json", {"lab": ROBOT}),
    ):
        (directory / name).write_text(json.dumps(plain))
    return directory


def features() -> Tensor:
    """Tokens of a language model [B, S, D]."""
    return numbers("features", (COUNT, 11, 16))


def seen_as_pictures(made: Network) -> Tensor:
    """Which of them are pictures, by where the body says that they stand [S]."""
    known: Tensor = made.head.pictures  # type: ignore[assignment]
    return known[:11]


def start() -> Tensor:
    """Noise from which actions are made."""
    return numbers("start", (COUNT, TINY.horizon, 9))


@torch.no_grad()
def our_actions(made: Network) -> Tensor:
    """A chunk, by our head in the steps of the original."""
    scene = Scene(given=pi0.given(), silent=False, context=None)
    mask = torch.ones(COUNT, 11, dtype=torch.bool)
    made.head.pictures = seen_as_pictures(made)
    read = Context(tokens=made.mixing(features(), mask), mask=mask)
    value = start()
    for step in range(STEPS):
        time = torch.full((COUNT, 1), step / STEPS)
        value = value + made.decode(scene, read, None, {"action": (value, time)})["action"] / STEPS
    return value


def library_actions(pictures: Tensor) -> Tensor:
    """The same by LeRobot's head."""
    code = original(
        "groot.groot_n1_7",
        lerobot__policies__groot__configuration_groot={
            "N1_7_DEFAULT_IMAGE_CROP_SIZE": None,
            "N1_7_DEFAULT_IMAGE_TARGET_SIZE": None,
        },
    )
    told = {**code.GR00T_N1_7_DEFAULTS, **CONFIG}
    head = code.GR00TN17ActionHead(SimpleNamespace(**told)).eval()
    for name, value in head.named_parameters():
        whole = f"action_head.{name}"
        value.data.copy_(made_weights({whole: tuple(value.shape)})[whole])
    state = torch.zeros(COUNT, 1, 9)
    state[:, 0, : len(NEEDS.state)] = pi0.given().state
    asked = SimpleNamespace(state=state, embodiment_id=torch.full((COUNT,), ROBOT))
    output = code.BatchFeature(
        data={
            "backbone_features": features(),
            "backbone_attention_mask": torch.ones(COUNT, 11, dtype=torch.bool),
            "image_mask": pictures.expand(COUNT, -1),
        }
    )
    drawn, torch.randn = torch.randn, lambda **kind: start()
    try:
        with torch.no_grad():
            own = head._encode_features(output, asked)
            return head.get_action_with_features(
                backbone_features=own.backbone_features,
                state_features=own.state_features,
                embodiment_id=asked.embodiment_id,
                backbone_output=output,
                action_input={},
            ).action_pred
    finally:
        torch.randn = drawn


def record() -> dict[str, Any]:
    """What LeRobot's head gives."""
    made = library_actions(seen_as_pictures(network()))
    return {"actions": made.double().numpy().round(8).tolist()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record(), indent=1) + "\n")
