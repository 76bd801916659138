"""One pi0.5 with weights and inputs that anyone can make again, in our network and in LeRobot's.

Run as ``python -m checks.pi05 FILE`` from ``tests`` with the ``src`` of lerobot @ 7427f318 on the
path and transformers 5.23 installed, this records what LeRobot's code gives. Its layers and its
passes are used as they are; around them only what needs its other dependencies is left out, and the
models are made small by hand, because its sizes are written into its code.
"""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from checks import pi0
from checks.library import made_weights, names_of
from checks.originals import original
from checks.pi0 import COUNT, SEED
from fakes.checkpoint_files import recorded
from fakes.episodes import MAKES, NEEDS
from vertebra.backbones.decoder import DecoderSizes
from vertebra.backbones.sizes import TINY
from vertebra.flow.times import draw_times
from vertebra.policy.adapt_pi0 import Pi0Sizes, even_rows
from vertebra.policy.adapt_pi05 import StatePrompts, pi05_body, renamed
from vertebra.policy.network import Network
from vertebra.recipes.pi05 import PI05

TEXT = {**pi0.TEXT, "num_attention_heads": 8, "num_key_value_heads": 1}
EYES = pi0.CONFIG["vlm_config"]["vision_config"]
VLM = DecoderSizes(width=24, layers=3, heads=8, kv_heads=1, head_width=8, hidden=40)
SIZES = Pi0Sizes(
    vlm=VLM,
    action=replace(VLM, width=16, hidden=32, adaptive=True),
    vocabulary=TEXT["vocab_size"],
    tower_width=EYES["hidden_size"],
    px=EYES["image_size"],
    patch_px=EYES["patch_size"],
    state=len(NEEDS.state),
    actions=len(MAKES.dims),
)
SHAPE = replace(pi0.SHAPE, recipe=PI05)
PROMPTS = StatePrompts(split=lambda text: [3 + ord(one) % 30 for one in text], begin=1)
"""Each letter is a token."""


class Named(nn.Module):
    """Weights under given names, and nothing that could be done with them."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        inside: dict[str, dict[str, tuple[int, ...]]] = {}
        for name, shape in shapes.items():
            first, _, rest = name.partition(".")
            if rest:
                inside.setdefault(first, {})[rest] = shape
            else:
                self.register_parameter(first, nn.Parameter(torch.zeros(shape)))
        for name, below in inside.items():
            self.add_module(name, Named(below))


def recorded_tower(name: str) -> Named:
    """The picture encoder of a recorded checkpoint, without what it does."""
    shapes = renamed({n: torch.zeros(*s) for n, s in recorded(name).tensors.items()})
    start = "senses.tower."
    return Named(
        {n.removeprefix(start): tuple(v.shape) for n, v in shapes.items() if n.startswith(start)}
    )


def recorded_sizes() -> Pi0Sizes:
    """Sizes of the recorded checkpoints."""
    vlm = DecoderSizes(width=16, layers=2, heads=4, kv_heads=2, head_width=8, hidden=32)
    return replace(
        SIZES,
        vlm=vlm,
        action=replace(vlm, width=8, hidden=16, adaptive=True),
        vocabulary=40,
        tower_width=12,
        px=16,
        patch_px=8,
        actions=6,
    )


def network_of_pi05(tower: nn.Module) -> Network:
    """Our network around a picture encoder, with weights under LeRobot's names."""
    network = Network(SHAPE, pi05_body(SHAPE, SIZES, tower, PROMPTS))
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    theirs = {name: shapes[ours] for name, ours in released_names(shapes).items()}
    network.load_state_dict(renamed(made_weights(theirs)))
    return network.eval()


def released_names(ours: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Names in LeRobot's state dict, and ours for them; written down by hand."""
    vlm = "paligemma_with_expert.paligemma.model."
    expert = "paligemma_with_expert.gemma_expert.model."
    turned = {
        "attention.experts.vlm.": vlm + "language_model.layers.",
        "attention.experts.action.": expert + "layers.",
        "attention.norms.action.": expert + "norm.",
        "senses.table.": vlm + "language_model.embed_tokens.",
        "senses.tower.": vlm + "vision_tower.",
        "senses.projector.": vlm + "multi_modal_projector.linear.",
        "inputs.action.value.": "action_in_proj.",
        "conditions.action.mix.": "time_mlp_in.",
        "conditions.action.out.": "time_mlp_out.",
        "outputs.action.": "action_out_proj.",
    }
    return names_of(ours, turned)


def _code() -> Any:
    """LeRobot's module."""
    code = original(
        "pi05.modeling_pi05",
        lerobot__configs={"PreTrainedConfig": object},
        lerobot__policies__pretrained={"PreTrainedPolicy": object, "T": object},
        lerobot__policies__rtc__modeling_rtc={"RTCProcessor": object},
        lerobot__policies__pi05__configuration_pi05={
            "DEFAULT_IMAGE_SIZE": 224,
            "PI05Config": object,
        },
    )
    gemma: Any = importlib.import_module("lerobot.policies.pi_gemma")
    gemma.create_causal_mask = lambda **given: given["attention_mask"]  # it is whole, 5.23 renamed
    return code


def library_model() -> Any:
    """The same pi0.5 in LeRobot's code."""
    code, library = _code(), importlib.import_module("transformers")
    whole = library.PaliGemmaConfig(
        text_config={**TEXT, "hidden_activation": "gelu_pytorch_tanh"},
        vision_config=EYES,
        projection_dim=TEXT["hidden_size"],
        image_token_id=pi0.IMAGE_TOKEN,
    )
    expert = library.GemmaConfig(
        **{**TEXT, "hidden_size": 16, "intermediate_size": 32},
        hidden_activation="gelu_pytorch_tanh",
    )
    expert.use_adarms, expert.adarms_cond_dim = True, 16
    whole.text_config.use_adarms, whole.text_config.adarms_cond_dim = False, None
    both = code.PaliGemmaWithExpertModel.__new__(code.PaliGemmaWithExpertModel)
    nn.Module.__init__(both)
    both.paligemma = code.PaliGemmaForConditionalGenerationWithPiGemma(config=whole)
    both.gemma_expert = code.PiGemmaForCausalLM(config=expert)
    both.gemma_expert.model.embed_tokens = None
    both.freeze_vision_encoder = both.train_expert_only = False
    model = code.PI05Pytorch.__new__(code.PI05Pytorch)
    nn.Module.__init__(model)
    model.paligemma_with_expert = both
    model.config = SimpleNamespace(
        min_period=4e-3,
        max_period=4.0,
        chunk_size=TINY.horizon,
        max_action_dim=len(MAKES.dims),
        num_inference_steps=10,
        rtc_config=None,
    )
    model.rtc_processor, model.gradient_checkpointing_enabled = None, False
    model.action_in_proj = nn.Linear(len(MAKES.dims), 16)
    model.action_out_proj = nn.Linear(16, len(MAKES.dims))
    model.time_mlp_in, model.time_mlp_out = nn.Linear(16, 16), nn.Linear(16, 16)
    for name, value in model.named_parameters(remove_duplicate=False):
        if "lm_head" not in name:
            value.data.copy_(made_weights({name: tuple(value.shape)})[name])
    return model.eval()


def library_inputs() -> dict[str, Any]:
    """The same observations in its own form: one view that is missing stands between ours."""
    shown = pi0.given()
    heads, tails = PROMPTS(shown.instructions, shown.state.numpy())
    ids, mask = even_rows([a + b for a, b in zip(heads, tails, strict=True)])
    views = [shown.images[c.name].permute(0, 3, 1, 2) / 127.5 - 1.0 for c in NEEDS.cameras]
    there = torch.ones(COUNT, dtype=torch.bool)
    return {
        "images": [views[0], -torch.ones_like(views[0]), *views[1:]],
        "img_masks": [there, ~there, *[there] * (len(views) - 1)],
        "tokens": ids,
        "masks": mask,
    }


@torch.no_grad()
def library_loss(model: Any) -> Tensor:
    """Its loss of each sample at the times and noise that ours draws."""
    generator = torch.Generator().manual_seed(SEED)
    draws, horizon = TINY.draws, TINY.horizon
    times = draw_times(PI05.noise["action"].times, COUNT * draws, generator).view(COUNT, draws)
    noise = torch.randn(COUNT, draws * horizon, len(MAKES.dims), generator=generator)
    parts = [
        model(
            **library_inputs(),
            actions=pi0.actions(),
            noise=noise[:, draw * horizon : (draw + 1) * horizon],
            time=1.0 - times[:, draw],
        ).mean((1, 2))
        for draw in range(draws)
    ]
    return torch.stack(parts).mean(0)


@torch.no_grad()
def record() -> dict[str, Any]:
    """What LeRobot's code gives."""
    model = library_model()
    inputs = library_inputs()
    pixels = torch.stack([inputs["images"][0], inputs["images"][2]], dim=1).flatten(0, 1)
    tower = model.paligemma_with_expert.paligemma.model.vision_tower
    made = {
        "pixel_means": pixels.mean((2, 3)),
        "features": tower(pixels).last_hidden_state,
        "loss": library_loss(model),
        "actions": model.sample_actions(**inputs, noise=pi0.start(), num_steps=10),
    }
    return {name: value.double().round(decimals=8).tolist() for name, value in made.items()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record(), indent=1) + "\n")
