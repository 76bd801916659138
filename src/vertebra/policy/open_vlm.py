"""Families of released vision-language models: what takes a model of each apart."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vertebra.backbones.gemma import gemma3_sizes, gemma_sizes
from vertebra.backbones.llama import llama_sizes
from vertebra.backbones.qwen import qwen3_sizes, qwen25_sizes
from vertebra.policy.released import library_config, library_prompts, picture_tower
from vertebra.policy.stand_eyes import MergedEyes, PooledEyes, ShuffledEyes, SquareEyes
from vertebra.policy.stand_vlm import VlmParts, renaming

PALIGEMMA: tuple[tuple[str, str | None], ...] = (
    (r"^(?:model\.)?language_model\.(?:model\.)?layers\.", "layers."),
    (r"^(?:model\.)?language_model\.(?:model\.)?norm\.", "closing."),
    (r"^(?:model\.)?language_model\.(?:model\.)?embed_tokens\.", "table."),
    (r"^(?:model\.)?vision_tower\.(?:vision_model\.)?head\.", None),
    (r"^(?:model\.)?vision_tower\.(?:vision_model\.)?", "eyes.tower."),
    (r"^(?:model\.)?multi_modal_projector\.linear\.", "eyes.projector."),
    (r"lm_head\.", None),
)
"""Beginnings of the names of weights, the first that fits, and ours; ``None`` where not needed."""


SMOLVLM: tuple[tuple[str, str | None], ...] = (
    (r"^(?:model\.)?text_model\.layers\.", "layers."),
    (r"^(?:model\.)?text_model\.norm\.", "closing."),
    (r"^(?:model\.)?text_model\.embed_tokens\.", "table."),
    (r"^(?:model\.)?vision_model\.", "eyes.tower."),
    (r"^(?:model\.)?connector\.modality_projection\.proj\.", "eyes.proj."),
    (r"^lm_head\.", None),
)
QWEN: tuple[tuple[str, str | None], ...] = (
    (r"^(?:model\.)?visual\.", "eyes.tower."),
    (r"^model\.(?:language_model\.)?layers\.", "layers."),
    (r"^model\.(?:language_model\.)?norm\.", "closing."),
    (r"^model\.(?:language_model\.)?embed_tokens\.", "table."),
    (r"^lm_head\.", None),
)


GEMMA3: tuple[tuple[str, str | None], ...] = (
    *(
        (
            rf"^(?:model\.)?language_model\.(?:model\.)?layers\.(\d+)\.{theirs}\.",
            rf"layers.\1.{ours}.",
        )
        for theirs, ours in (
            ("post_attention_layernorm", "after_attention"),
            ("pre_feedforward_layernorm", "post_attention_layernorm"),
            ("post_feedforward_layernorm", "after_mlp"),
        )
    ),
    (r"^(?:model\.)?multi_modal_projector\.mm_input_projection_weight$", "eyes.projection"),
    (r"^(?:model\.)?multi_modal_projector\.mm_soft_emb_norm\.", "eyes.norm."),
    *PALIGEMMA,
)


def paligemma(directory: Path, config: Mapping[str, Any]) -> VlmParts:
    """PaliGemma: SigLIP before a Gemma 1 whose prefix looks both ways.

    Source: huggingface/transformers @ v5.23.0 src/transformers/models/paligemma/
        modeling_paligemma.py; arXiv:2407.07726.

    Raises:
        ValueError: When its language model is another one (PaliGemma 2 stands on a Gemma 2).
    """
    text, seen = config["text_config"], config["vision_config"]
    sizes = gemma_sizes(text)
    return VlmParts(
        sizes=sizes,
        eyes=SquareEyes(picture_tower(seen), seen, sizes.width),
        vocabulary=int(text["vocab_size"]),
        scale=sizes.width**0.5,
        prompts=library_prompts(directory),
        causal=False,
        rename=renaming(PALIGEMMA, "PaliGemma"),
    )


def smolvlm2(directory: Path, config: Mapping[str, Any]) -> VlmParts:
    """SmolVLM2: SigLIP before a Llama, which does not look ahead.

    Source: huggingface/transformers @ v5.23.0 src/transformers/models/smolvlm/
        modeling_smolvlm.py; arXiv:2504.05299.
    Deviations: a picture is one square, not also cut into tiles; the words that stand around
        pictures and turns of a conversation are left out.

    Raises:
        ValueError: When its language model is another one.
    """
    text, seen = config["text_config"], config["vision_config"]
    sizes = llama_sizes(text)
    tower = picture_tower({**seen, "model_type": "smolvlm_vision"})
    return VlmParts(
        sizes=sizes,
        eyes=ShuffledEyes(tower, seen, int(config["scale_factor"]), sizes.width),
        vocabulary=int(text["vocab_size"]),
        scale=1.0,
        prompts=library_prompts(directory),
        causal=True,
        rename=renaming(SMOLVLM, "SmolVLM2"),
    )


def qwen25_vl(directory: Path, config: Mapping[str, Any]) -> VlmParts:
    """Qwen2.5-VL: an encoder with windows before a Qwen2.5, whose places have three axes.

    Source: huggingface/transformers @ v5.23.0 src/transformers/models/qwen2_5_vl/
        modeling_qwen2_5_vl.py, ../qwen2_vl/image_processing_qwen2_vl.py; arXiv:2502.13923.
    Deviations: a picture is made a square of 8 x 8 tokens (224 pixels), whatever its size; the
        words that stand around pictures and turns of a conversation are left out.

    Raises:
        ValueError: When its language model is another one.
    """
    text, seen = config["text_config"], config["vision_config"]
    return VlmParts(
        sizes=qwen25_sizes(text),
        eyes=MergedEyes(
            picture_tower(seen),
            seen,
            mean=(0.48145466, 0.4578275, 0.40821073),
            deviation=(0.26862954, 0.26130258, 0.27577711),
        ),
        vocabulary=int(text["vocab_size"]),
        scale=1.0,
        prompts=library_prompts(directory),
        causal=True,
        rename=renaming(QWEN, "Qwen2.5-VL"),
    )


def qwen3_vl(directory: Path, config: Mapping[str, Any]) -> VlmParts:
    """Qwen3-VL: states of several layers of its encoder enter the first layers of a Qwen3.

    Cosmos-Reason2 and the backbone of GR00T N1.7 are of this family.

    Source: huggingface/transformers @ v5.23.0 src/transformers/models/qwen3_vl/
        modeling_qwen3_vl.py; arXiv:2511.21631.
    Deviations: as Qwen2.5-VL; a picture has 256 pixels along each side.

    Raises:
        ValueError: When its language model is another one.
    """
    text, seen = config["text_config"], config["vision_config"]
    half = (0.5, 0.5, 0.5)
    return VlmParts(
        sizes=qwen3_sizes(text),
        eyes=MergedEyes(picture_tower(seen), seen, mean=half, deviation=half),
        vocabulary=int(text["vocab_size"]),
        scale=1.0,
        prompts=library_prompts(directory),
        causal=True,
        layered=len(seen["deepstack_visual_indexes"]),
        rename=renaming(QWEN, "Qwen3-VL"),
    )


def gemma3(directory: Path, config: Mapping[str, Any]) -> VlmParts:
    """Gemma 3: SigLIP before a Gemma 3, whose pictures are looked at both ways.

    Most of its layers look back over a window; prefixes that are longer are refused.

    Source: huggingface/transformers @ v5.23.0 src/transformers/models/gemma3/modeling_gemma3.py;
        arXiv:2503.19786.
    Deviations: a picture is one square, not also cut into crops; all pictures are one block, which
        looks both ways; the words that stand around them are left out.

    Raises:
        ValueError: When its language model is another one.
    """
    text, seen = config["text_config"], config["vision_config"]
    sizes = gemma3_sizes(text)
    side = int(int(config["mm_tokens_per_image"]) ** 0.5)
    return VlmParts(
        sizes=sizes,
        eyes=PooledEyes(picture_tower(seen), seen, side, sizes),
        vocabulary=int(text["vocab_size"]),
        scale=sizes.width**0.5,
        prompts=library_prompts(directory),
        causal=True,
        ahead=True,
        window=int(text["sliding_window"]) if sizes.local else 0,
        rename=renaming(GEMMA3, "Gemma 3"),
    )


OPEN: Mapping[str, Callable[[Path, Mapping[str, Any]], VlmParts]] = {
    "gemma3": gemma3,
    "paligemma": paligemma,
    "qwen2.5-vl": qwen25_vl,
    "qwen3-vl": qwen3_vl,
    "smolvlm2": smolvlm2,
}
"""Name of a family to what takes a model of it apart."""


def vlm_parts(directory: Path, family: str, layers: int | None = None) -> VlmParts:
    """A vision-language model, taken apart, cut to its first layers where that is asked for."""
    parts = OPEN[family](directory, library_config(directory))
    return parts if layers is None else replace(parts, sizes=replace(parts.sizes, layers=layers))
