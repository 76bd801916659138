"""Weights spread over several processes (FSDP2): the one way in which anything here is sharded."""

from typing import TypeVar

import torch
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

Kind = TypeVar("Kind", bound=nn.Module)


def shard(module: Kind, *, half: bool = False) -> Kind:
    """Spread the weights of a module over all processes of the default group, in place.

    FSDP2 refuses weights in another memory layout, such as the channels-last ones of the pixel
    stems, so all are laid out anew before.

    Args:
        module: What is called in every process with data of its own; its gradients are averaged.
        half: Whether layers compute in bfloat16; gradients are added up in float32.
    """
    for value in module.parameters():
        value.data = value.data.contiguous()
    policy = MixedPrecisionPolicy()
    if half:
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    fully_shard(module, mp_policy=policy)
    return module
