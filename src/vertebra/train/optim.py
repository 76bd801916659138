"""The optimiser of every arm: Muon for the matrices inside the experts, AdamW for the rest."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn


class Optimiser:
    """Two optimisers that step together, one learning-rate curve.

    Source: Muon: Jordan et al. 2024, as shipped in ``torch.optim.Muon``; its updates are scaled to
    the root mean square of AdamW's, so that one learning rate serves both.

    Args:
        network: What is trained.
        learning_rate: Peak learning rate.
        warmup: Steps of linear warm-up.
        steps: Steps in all; a cosine falls to 5 % of the peak at the end.
        slower: Parameters with a learning rate of their own, as a share of the others'. They are
            released weights, and AdamW moves them, as it did where they come from.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        warmup: int,
        steps: int,
        slower: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        matrices: dict[str, Tensor] = {}
        others: dict[str, Tensor] = {}
        released: dict[str, Tensor] = {}
        for name, value in network.named_parameters():
            if not value.requires_grad:
                continue
            inside = name.startswith(("attention.experts", "head.experts")) and value.ndim == 2
            if name in slower:
                released[name] = value
            else:
                (matrices if inside and "lora_" not in name else others)[name] = value
        self.names = (*matrices, *others, *released)
        self.parameters = (*matrices.values(), *others.values(), *released.values())
        self.learning_rate, self.warmup, self.steps = learning_rate, warmup, steps
        groups = [{"params": list(others.values()), "share": 1.0}]
        groups += [
            {"params": [released[n] for n in released if slower[n] == share], "share": share}
            for share in sorted({slower[name] for name in released})
        ]
        adamw = torch.optim.AdamW(
            groups, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
        )
        self.parts: tuple[torch.optim.Optimizer, ...] = (adamw,)
        if matrices:
            muon = torch.optim.Muon(
                matrices.values(),
                lr=learning_rate,
                weight_decay=0.01,
                momentum=0.9,
                adjust_lr_fn="match_rms_adamw",
            )
            self.parts = (muon, adamw)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        fall = 0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * step / max(self.steps, 1)))
        return self.learning_rate * rise * fall

    def step(self, step: int) -> None:
        """Clip the gradient to norm 1, move the weights, clear the gradient."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.rate(step) * group.get("share", 1.0)
            part.step()
            part.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as named tensors."""
        found: dict[str, Tensor] = {}
        for name, value in zip(self.names, self.parameters, strict=True):
            for part in self.parts:
                for key, item in part.state.get(value, {}).items():
                    found[f"{key}/{name}"] = torch.as_tensor(item)
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state`` gave, bit for bit."""
        by_name = dict(zip(self.names, self.parameters, strict=True))
        owners = {
            id(v): part for part in self.parts for g in part.param_groups for v in g["params"]
        }
        for key, item in state.items():
            kind, name = key.split("/", 1)
            value = by_name[name]
            same = item.shape == value.shape
            # The fused kernel walks raw memory, so the layout must be that of the weight.
            kept = torch.empty_like(value, dtype=item.dtype).copy_(item) if same else item.clone()
            owners[id(value)].state[value][kind] = kept
