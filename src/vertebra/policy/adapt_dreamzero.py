"""DreamZero on Wan: the body of a released policy, and the names of its weights.

One trunk serves frames, actions and states. The noise level is one minus our flow time, and the
velocity points from data to noise; both are turned round here, so that weights stay as they were
released. The state is told the noise level of the actions, as in training.

Source: dreamzero @ ab790c1 groot/vla/model/dreamzero/{modules/wan_video_dit_action_casual_chunk.py,
    action_head/wan_flow_matching_action_tf.py}, groot/vla/configs/model/dreamzero/action_head. What
    the layers give is compared with that code.
Deviations: A chunk is one latent frame (theirs: two), made of its last picture, held. The present
    frame is a stream of its own beside the true frames of past chunks; it is told as a first frame,
    and the picture encoder sees it (theirs: the first one since the memory was last emptied). What
    stands beside later latents is a grey frame after a grey one (theirs: after the first frame).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vertebra.backbones.sizes import Latents
from vertebra.backbones.wan import WanSizes, wan_layers
from vertebra.backbones.wan_ends import WanClosing, wan_places
from vertebra.coupling.joint import JointAttention
from vertebra.coupling.table import Joint
from vertebra.policy.body import Body, Laid
from vertebra.policy.checkpoint import rename_tensors
from vertebra.policy.dreamzero_parts import (
    ActionRates,
    DreamZeroSenses,
    DreamZeroSizes,
    FrameTokens,
    TimedActions,
)
from vertebra.policy.latent_senses import Look, held
from vertebra.policy.pairs import refusal
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import (
    Encode,
    PatchVelocity,
    Texts,
    Told,
    Unclosed,
    inside,
    patches,
    shared_out,
    wrong_experts,
)
from vertebra.spec.streams import Role

PICTURE_WIDTH = 1280
"""Width of the picture encoder's states (MLPProj of the model)."""
GREY = 128


def dreamzero_sizes(config: Mapping[str, Any]) -> DreamZeroSizes:
    """Sizes from the ``config.json`` beside the weights.

    Raises:
        ValueError: For another kind of model.
    """
    head = config.get("action_head_cfg")
    inner = head.get("config") if isinstance(head, Mapping) else None
    model = inner.get("diffusion_model_cfg") if isinstance(inner, Mapping) else None
    if not isinstance(model, Mapping) or not str(model.get("_target_")).endswith("CausalWanModel"):
        raise ValueError(
            "This is not the configuration of a DreamZero: expected a CausalWanModel as "
            "action_head_cfg.config.diffusion_model_cfg."
        )
    width, heads = model["dim"], model["num_heads"]
    return DreamZeroSizes(
        video=WanSizes(
            width=width,
            layers=model["num_layers"],
            heads=heads,
            head_width=width // heads,
            hidden=model["ffn_dim"],
            text_width=model.get("text_dim", 4096),
            waves=model["freq_dim"],
            channels_in=model["in_dim"],
            channels_out=model["out_dim"],
            picture_width=PICTURE_WIDTH,
            eps=float(model["eps"]),
        ),
        actions=model.get("action_dim", 32),
        state=model.get("max_state_dim", 64),
        hidden=model.get("hidden_size", 1024),
    )


def dreamzero_body(
    shape: Shape, sizes: DreamZeroSizes, *, encode: Encode, look: Look, texts: Texts
) -> Body:
    """A body with new weights, to be filled with released ones.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        encode: All cameras side by side to latents (``dreamzero_parts.droid`` lays them out).
        look: All cameras side by side to states of the picture encoder [B, 257, 1280].
        texts: Words to states, 512 of them.

    Raises:
        ValueError: Naming everything in which recipe or robot is not what DreamZero can stand
            under.
    """
    video, latents, table = sizes.video, shape.size.latents, shape.recipe.table
    wrong = _unfit(shape, sizes)
    if wrong or latents is None:
        raise refusal(shape.recipe, "DreamZero's Wan", wrong)
    attention = JointAttention(
        table,
        layers={"video": wan_layers(video)},
        closings={"video": WanClosing(video), "action": Unclosed()},
        finishing=table.named(Role.DENOISED),
        adaptive=frozenset({"video"}),
    )
    frames, told = FrameTokens(sizes, _grey(shape, latents, video, encode)), Told(video)
    inputs: dict[str, nn.Module] = {
        "future": frames,
        "action": TimedActions(sizes.actions, video.width),
    }
    inputs |= {name: inputs[table.stream(name).of] for name in table.named(Role.TEACHER)}
    outputs: dict[str, nn.Module] = {
        "future": PatchVelocity(video),
        "action": ActionRates(video.width, sizes.hidden, sizes.actions),
    }
    return Body(
        attention=attention,
        senses=DreamZeroSenses(
            shape, sizes, tokens=frames, told=told, encode=encode, look=look, texts=texts
        ),
        inputs=nn.ModuleDict(inputs),
        positions=nn.ParameterDict(),
        outputs=nn.ModuleDict(outputs),
        widths={"video": video.width},
        conditions=nn.ModuleDict({"video": told}),
        told_as={"state": "action"},
        sees=lambda pictures: patches(encode(held(pictures, latents.pictures)), video.patch),
        canvas=True,
        speaks=frozenset(outputs),
        places=lambda laid, copies, cache: _places(latents, laid),
    )


def _unfit(shape: Shape, sizes: DreamZeroSizes) -> list[str]:
    table, video, latents = shape.recipe.table, sizes.video, shape.size.latents
    streams = ("frame", "state", "future", "clean_future", "action")
    wrong = wrong_experts(table, dict.fromkeys(streams, "video"))
    if set(table.context) != {"text"}:
        wrong.append(f"what is told is {table.context}, expected the words alone")
    if shape.action_dims != sizes.actions:
        wrong.append(f"an action has {shape.action_dims} numbers, expected {sizes.actions}")
    if shape.state_dims > sizes.state:
        wrong.append(f"the state has {shape.state_dims} numbers, there is room for {sizes.state}")
    numbers = video.channels_out * video.patch[0] * video.patch[1] * video.patch[2]
    if latents is None or latents.numbers != numbers:
        wrong.append(f"size '{shape.size.name}' has latents {latents}, expected {numbers} numbers")
    if not shape.recipe.rolling or shape.recipe.leapfrogs:
        wrong.append("the recipe does not go from chunk to chunk")
    return wrong


@torch.no_grad()
def _grey(shape: Shape, latents: Latents, video: WanSizes, encode: Encode) -> Tensor:
    """Vectors of a grey frame that follows a grey one [L, C * patch]."""
    cameras = shape.needs.cameras
    sides = (cameras[0].height, sum(camera.width for camera in cameras))
    clip = torch.full((1, 1 + latents.pictures, *sides, 3), GREY, dtype=torch.uint8)
    return patches(encode(clip)[:, :, 1:], video.patch)[0]


def _places(latents: Latents, laid: Laid) -> dict[str, Tensor]:
    """Frame, row and column of what is seen; of actions and states their place in the episode."""
    found: dict[str, Tensor] = {}
    for name, tokens in laid.tokens.items():
        times = laid.times[name]
        chunks = int(times.unique().numel())
        length = tokens.shape[1] // chunks
        if name in ("action", "state"):
            place = torch.arange(length)[:, None].repeat(chunks, 1).to(tokens.device)
            place[:, 0] += times * length
        else:
            start = 0 if name == "frame" else 1
            place = wan_places((1, latents.rows, latents.columns), start=start)
            place = place.repeat(chunks, 1).to(tokens.device)
            place[:, 0] += times
        found[name] = place
    return found


_MODEL = r"^action_head\.model\."
NAMES: tuple[tuple[str, str], ...] = (
    (_MODEL + r"blocks\.", "attention.experts.video."),
    (_MODEL + r"head\.modulation$", "attention.norms.video.scale_shift_table"),
    (_MODEL + r"head\.head\.", "outputs.future.proj_out."),
    (_MODEL + r"patch_embedding\.", "inputs.future.patch_embedding."),
    (_MODEL + r"action_encoder\.", "inputs.action."),
    (_MODEL + r"action_decoder\.", "outputs.action."),
    (_MODEL + r"state_encoder\.", "senses.state."),
    (_MODEL + r"img_emb\.proj\.0\.", "conditions.video.image_embedder.norm1."),
    (_MODEL + r"img_emb\.proj\.1\.", "conditions.video.image_embedder.ff.net.0.proj."),
    (_MODEL + r"img_emb\.proj\.3\.", "conditions.video.image_embedder.ff.net.2."),
    (_MODEL + r"img_emb\.proj\.4\.", "conditions.video.image_embedder.norm2."),
    (_MODEL + r"(?=text_embedding|time_embedding|time_projection)", "conditions.video."),
)
"""Beginnings of DreamZero's names of weights, and ours; the first that fits counts."""
UNUSED = re.compile(r"^action_head\.(text_encoder|image_encoder|vae)\.")
"""Frozen encoders stand in such files too; they are handed in."""


def our_name(name: str) -> str | None:
    """Our name of a released weight; ``None`` for one of a frozen encoder.

    Raises:
        ValueError: For a name that DreamZero does not have.
    """
    for pattern, ours in NAMES:
        found = re.match(pattern, name)
        if found:
            return ours + inside(name[found.end() :])
    if UNUSED.match(name):
        return None
    raise ValueError(f"'{name}' is no weight of DreamZero.")


def renamed(released: Mapping[str, Tensor], table: Joint) -> dict[str, Tensor]:
    """Released weights under our names, as often as a table has clean copies.

    Raises:
        SpecMismatch: Naming every tensor that DreamZero does not have.
    """
    return shared_out(rename_tensors(released, our_name, "DreamZero"), table)
