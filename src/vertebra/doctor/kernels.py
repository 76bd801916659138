"""Each kernel path on a device against float32 on the CPU: outputs and gradients."""

import copy
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from vertebra.backbones.autoencoder import PX, VideoAutoencoder
from vertebra.backbones.decoder import DecoderLayer, DecoderSizes, RootNorm
from vertebra.backbones.wan import WanLayer, WanSizes
from vertebra.doctor.finding import Finding, State, Unavailable, compared, examined, skipped
from vertebra.flow.solver import euler
from vertebra.nn.attention import attend
from vertebra.nn.blocks import ExpertLayer, Norm

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""Largest relative difference of two tensors (of their lengths as vectors)."""
SHORT = {torch.float32: "float32", torch.bfloat16: "bf16"}
BACKENDS = (
    SDPBackend.MATH,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
)
GEMMA = DecoderSizes(width=64, layers=1, heads=4, kv_heads=1, head_width=16, hidden=128)
WAN = WanSizes(width=64, layers=1, heads=4, head_width=16, hidden=128)
TOKENS = 24
Made = tuple[nn.Module, tuple[Tensor, ...]]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One kernel path.

    Attributes:
        name: What it is.
        make: Its module with new weights, and float inputs.
    """

    name: str
    make: Callable[[], Made]


class Attention(nn.Module):
    """The attention of all couplings, with or without a mask."""

    def __init__(self, *, masked: bool) -> None:
        super().__init__()
        self.masked = masked

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend; the mask hides later keys."""
        bias = None
        if self.masked:
            later = torch.ones(query.shape[-2], key.shape[-2], device=query.device).triu(1)
            bias = later * -1e4
        return attend(query, key, value, bias)


class Layer(nn.Module):
    """Self-attention and MLP of one layer, as joint attention runs them.

    Args:
        layer: A layer of any kind.
        places: What turns queries and keys, for ``count`` tokens.
        told: Width of the condition, 0 for none.
        context: Whether it reads a context.
    """

    def __init__(
        self, layer: Any, *, places: Callable[[int], Tensor] | None, told: int, context: bool
    ) -> None:
        super().__init__()
        self.layer, self.places, self.told, self.context = layer, places, told, context

    def forward(self, tokens: Tensor, condition: Tensor, context: Tensor) -> Tensor:
        """One layer [B, L, D]."""
        places = None if self.places is None else self.places(tokens.shape[1]).to(tokens.device)
        parts = self.layer.modulation(condition if self.told else None)
        normed = self.layer.normed(tokens, parts)
        key, value = self.layer.keys_values(normed, places)
        attended = attend(self.layer.queries(normed, places), key, value, None)
        read = context if self.context else None
        return self.layer.absorb(tokens, attended, read, None, parts)


class Coded(nn.Module):
    """Frames through the autoencoder and back."""

    def __init__(self) -> None:
        super().__init__()
        self.codec = VideoAutoencoder(8)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [B, T, 3, 32, 32]."""
        return self.codec.decode(self.codec.encode(frames))


class CausalConvolution(nn.Module):
    """A convolution over time and picture that sees no later frame, as in large autoencoders."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(8, 16, 3)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [B, C, T, H, W]."""
        return self.convolution(F.pad(frames, (1, 1, 1, 1, 2, 0)))


class Solved(nn.Module):
    """Four steps of the flow solver along a small network."""

    def __init__(self) -> None:
        super().__init__()
        self.velocity = nn.Sequential(nn.Linear(9, 32), nn.SiLU(), nn.Linear(32, 8))

    def forward(self, noise: Tensor) -> Tensor:
        """Noise [B, L, 8]."""

        def velocity(values: dict[str, Tensor], at: float) -> dict[str, Tensor]:
            time = torch.full_like(values["action"][..., :1], at)
            return {"action": self.velocity(torch.cat([values["action"], time], dim=-1))}

        return euler(velocity, {"action": noise}, 4)["action"]


class LargeCodec(nn.Module):
    """The encoder of Wan's autoencoder, tiny."""

    def __init__(self, codec: Any) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, T, H, W]."""
        return self.codec.encode(frames).latent_dist.mode()


def _alive(module: nn.Module) -> nn.Module:
    """Weights moved away from zeros and ones, so that every one of them counts."""
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return module


def _attention(*, masked: bool, keys: int = 4) -> Made:
    sizes = ((2, 4, TOKENS, 16), (2, keys, TOKENS, 16), (2, keys, TOKENS, 16))
    return Attention(masked=masked), tuple(torch.randn(size) for size in sizes)


def _layer(layer: nn.Module, **how: Any) -> Made:
    parts = (torch.randn(2, TOKENS, 64), torch.randn(2, TOKENS, how["told"] or 1))
    return _alive(Layer(layer, **how)), (*parts, torch.randn(2, 5, 64))


def _expert(*, adaptive: bool) -> Made:
    layer = ExpertLayer(
        width=64,
        heads=4,
        head_width=16,
        hidden=128,
        context_width=64,
        final=False,
        adaptive=adaptive,
    )
    return _layer(layer, places=None, told=64 if adaptive else 0, context=True)


def _large_codec() -> Made:
    try:
        library: Any = importlib.import_module("diffusers")
    except ImportError as error:
        raise Unavailable(
            "diffusers is not installed: pip install 'vertebra[backbones]'"
        ) from error
    codec = library.AutoencoderKLWan(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )  # fmt: skip
    return LargeCodec(codec), (torch.randn(1, 3, 5, 32, 32),)


PROBES: tuple[Probe, ...] = (
    Probe(name="attention", make=lambda: _attention(masked=False)),
    Probe(name="attention, masked", make=lambda: _attention(masked=True)),
    Probe(name="attention, shared keys", make=lambda: _attention(masked=False, keys=1)),
    Probe(name="layer norm", make=lambda: (_alive(Norm(64)), (torch.randn(2, TOKENS, 64),))),
    Probe(
        name="RMS norm (Gemma)",
        make=lambda: (_alive(RootNorm(GEMMA)), (torch.randn(2, TOKENS, 64),)),
    ),
    Probe(name="shipped layer", make=lambda: _expert(adaptive=False)),
    Probe(name="shipped layer, adaptive", make=lambda: _expert(adaptive=True)),
    Probe(
        name="Gemma layer",
        make=lambda: _layer(DecoderLayer(GEMMA), places=torch.arange, told=0, context=False),
    ),
    Probe(
        name="Wan layer",
        make=lambda: _layer(
            WanLayer(WAN),
            places=lambda count: torch.arange(count)[:, None].expand(count, 3),
            told=7 * 64,
            context=True,
        ),
    ),
    Probe(name="autoencoder", make=lambda: (_alive(Coded()), (torch.rand(1, 3, 3, PX, PX),))),
    Probe(
        name="causal convolution in 3-D",
        make=lambda: (CausalConvolution(), (torch.randn(1, 8, 5, 12, 12),)),
    ),
    Probe(name="Wan's autoencoder", make=_large_codec),
    Probe(name="flow solver", make=lambda: (Solved(), (torch.randn(2, TOKENS, 8),))),
)


def kernels(device: torch.device) -> Iterator[Finding]:
    """Every probe in every precision; float32 on the CPU is what all are held against."""
    dtypes = (torch.bfloat16,) if device.type == "cpu" else (torch.float32, torch.bfloat16)
    if device.type == "cpu":
        yield skipped("kernels, float32", "the CPU in float32 is what others are held against")
    for probe in PROBES:
        for dtype in dtypes:
            yield examined(
                f"{probe.name}, {SHORT[dtype]}",
                lambda probe=probe, dtype=dtype: compared(
                    differences(probe, device, dtype), TOLERANCES[dtype]
                ),
            )
    for backend in BACKENDS:
        yield examined(
            f"attention kernel {backend.name.lower()}",
            lambda backend=backend: _kernel(backend, device),
        )


def differences(probe: Probe, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Relative differences of the output and of the gradients of inputs and weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module, inputs = probe.make()
    other = copy.deepcopy(module).to(device)
    wanted = _run(module, inputs, torch.device("cpu"), torch.float32)
    found = _run(other, inputs, device, dtype)
    return {name: relative(found[name], value) for name, value in wanted.items()}


def _run(
    module: nn.Module, inputs: tuple[Tensor, ...], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    own = [value.detach().to(device, dtype).requires_grad_() for value in inputs]
    with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
        output = module(*own)
    weights = torch.linspace(-1.0, 1.0, output.numel(), device=device).view(output.shape)
    (output.float() * weights).sum().backward()
    gradients = [value.grad for value in own] + [value.grad for value in module.parameters()]
    parts = [grad.float().flatten() for grad in gradients if grad is not None]
    return {
        "output": output.detach().float().cpu(),
        "gradients": torch.cat(parts).cpu(),
    }


def relative(found: Tensor, wanted: Tensor) -> float:
    """Length of the difference over the length of what is wanted; not a number if one is there."""
    return float((found - wanted).norm() / wanted.norm().clamp(min=1e-12))


def _kernel(backend: SDPBackend, device: torch.device) -> tuple[State, str, dict[str, float]]:
    """One fused kernel against the explicit form, in bf16."""
    module, inputs = _attention(masked=False)
    wanted = _run(module, inputs, torch.device("cpu"), torch.float32)["output"]
    query, key, value = (part.to(device, torch.bfloat16) for part in inputs)
    try:
        with torch.no_grad(), sdpa_kernel(backend):
            found = F.scaled_dot_product_attention(query, key, value)
    except RuntimeError as error:
        raise Unavailable(f"not on this device: {str(error).split('. ')[0]}") from error
    difference = relative(found.float().cpu(), wanted)
    return compared({"output": difference}, TOLERANCES[torch.bfloat16])
