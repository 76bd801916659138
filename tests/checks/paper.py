"""Parts of published systems that are built by other libraries, counted without any memory.

Run as ``python -m checks.paper FILE`` from ``tests`` with transformers and diffusers installed.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "siglip-so400m-14-224": {
        "library": "transformers",
        "class": "SiglipVisionModel",
        "source": "Physical-Intelligence/openpi@15a9616 src/openpi/models/siglip.py (So400m/14)",
        "config": {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 224,
            "patch_size": 14,
            "vision_use_head": False,
        },
    },
    "cosmos-predict2-2b": {
        "library": "diffusers",
        "class": "CosmosTransformer3DModel",
        "source": "huggingface/diffusers@v0.42.1 scripts/convert_cosmos_to_diffusers.py "
        "(Cosmos-2.0-Diffusion-2B-Video2World)",
        "config": {
            "in_channels": 17,
            "out_channels": 16,
            "num_attention_heads": 16,
            "attention_head_dim": 128,
            "num_layers": 28,
            "mlp_ratio": 4.0,
            "text_embed_dim": 1024,
            "adaln_lora_dim": 256,
            "max_size": [128, 240, 240],
            "patch_size": [1, 2, 2],
            "rope_scale": [1.0, 3.0, 3.0],
            "concat_padding_mask": True,
            "extra_pos_embed_type": None,
        },
    },
    "qwen3-1.7b-16-layers": {
        "library": "transformers",
        "class": "Qwen3Model",
        "source": "VinRobotics/Isaac-GR00T@d6a0116 gr00t/configs/model/gr00t_n1d6.py "
        "(select_layer), Eagle-Block2A-2B-v2/config.json",
        "config": {
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 16,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151936,
        },
    },
}


def counted(name: str) -> int:
    """Parameters of one of them."""
    known = CONFIGS[name]
    library: Any = importlib.import_module(known["library"])
    kind = getattr(library, known["class"])
    with torch.device("meta"):
        if known["library"] == "diffusers":
            model = kind(**known["config"])
        else:
            model = kind(kind.config_class(**known["config"]))
    return sum(value.numel() for value in model.parameters())


if __name__ == "__main__":
    made = {name: {**known, "parameters": counted(name)} for name, known in CONFIGS.items()}
    Path(sys.argv[1]).write_text(json.dumps(made, indent=1) + "\n")
