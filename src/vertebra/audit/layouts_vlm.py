"""Vision-language models without a way to actions."""

from vertebra.audit.layout import Family, Layout, Measure, Section
from vertebra.audit.names import DECODER, QWEN_2_5_VISION, QWEN_3_VISION, SIGLIP, TRANSFORMERS

GEMMA_TERMS = "Gemma Terms of Use (weights of Google)"
WIDTH = "language width"

PALIGEMMA = Layout(
    name="PaliGemma",
    kind="backbone",
    family=Family.NEITHER,
    backbone="PaliGemma (VLM)",
    marks=(
        "{model.|}multi_modal_projector.linear.weight",
        "{model.|}vision_tower.{vision_model.|}encoder.layers.#.self_attn.q_proj.weight",
        "{model.|}language_model.{model.|}layers.#.self_attn.q_proj.weight",
    ),
    absent=("{model.|}language_model.{model.|}layers.#.self_attn.q_norm.weight",),
    sections=(
        Section(part="vision encoder", names="{model.|}vision_tower." + SIGLIP),
        Section(part="projector", names="{model.|}multi_modal_projector.linear.{weight|bias}"),
        Section(part="language model", names="{model.|}language_model." + DECODER),
        Section(part="language model", names="{language_model.|}lm_head.weight"),
    ),
    layers="{model.|}language_model.{model.|}layers.#.self_attn.q_proj.weight",
    measures=(
        Measure(
            label=WIDTH,
            name="{model.|}language_model.{model.|}embed_tokens.weight",
            axis=1,
            keys=("text_config.hidden_size",),
        ),
    ),
    words=("paligemma", "PaliGemmaForConditionalGeneration", "PaliGemmaModel"),
    licence=GEMMA_TERMS,
    source=TRANSFORMERS,
)
GEMMA3 = Layout(
    name="Gemma 3",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Gemma 3 (VLM)",
    marks=(
        "{model.|}multi_modal_projector.mm_input_projection_weight",
        "{model.|}vision_tower.{vision_model.|}encoder.layers.#.self_attn.q_proj.weight",
        "{model.|}language_model.{model.|}layers.#.self_attn.q_norm.weight",
    ),
    sections=(
        Section(part="vision encoder", names="{model.|}vision_tower." + SIGLIP),
        Section(
            part="projector",
            names="{model.|}multi_modal_projector.{mm_input_projection_weight|mm_soft_emb_norm.weight}",
        ),
        Section(part="language model", names="{model.|}language_model." + DECODER),
        Section(part="language model", names="{language_model.|}lm_head.weight"),
    ),
    layers="{model.|}language_model.{model.|}layers.#.self_attn.q_proj.weight",
    words=("gemma3", "Gemma3ForConditionalGeneration", "Gemma3Model"),
    licence=GEMMA_TERMS,
    source=TRANSFORMERS,
)
SMOLVLM = Layout(
    name="SmolVLM2 / Idefics3",
    kind="backbone",
    family=Family.NEITHER,
    backbone="SmolVLM2 or Idefics3 (VLM)",
    marks=(
        "model.connector.modality_projection.proj.weight",
        "model.vision_model.encoder.layers.#.self_attn.q_proj.weight",
        "model.text_model.layers.#.self_attn.q_proj.weight",
    ),
    sections=(
        Section(part="vision encoder", names="model." + SIGLIP),
        Section(part="projector", names="model.connector.modality_projection.proj.weight"),
        Section(part="language model", names="model.text_model." + DECODER),
        Section(part="language model", names="lm_head.weight"),
    ),
    layers="model.text_model.layers.#.self_attn.q_proj.weight",
    measures=(
        Measure(
            label=WIDTH,
            name="model.text_model.embed_tokens.weight",
            axis=1,
            keys=("text_config.hidden_size",),
        ),
    ),
    words=(
        *("smolvlm", "SmolVLMForConditionalGeneration", "idefics3"),
        "Idefics3ForConditionalGeneration",
    ),
    licence="Apache-2.0 (HuggingFaceTB)",
    source=TRANSFORMERS,
)
QWEN_2_5_VL = Layout(
    name="Qwen2.5-VL",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Qwen2.5-VL (VLM)",
    marks=(
        "{model.|}visual.merger.mlp.#.weight",
        "{model.|}visual.blocks.#.mlp.gate_proj.weight",
        "{model.|}{language_model.|}layers.#.self_attn.q_proj.bias",
    ),
    sections=(
        Section(part="vision encoder", names="{model.|}visual." + QWEN_2_5_VISION),
        Section(part="language model", names="{model.|}{language_model.|}" + DECODER),
        Section(part="language model", names="lm_head.weight"),
    ),
    layers="{model.|}{language_model.|}layers.#.self_attn.q_proj.weight",
    words=("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLModel"),
    licence="Apache-2.0 (7B), Qwen research licence (3B), Qwen licence (72B)",
    source=TRANSFORMERS,
)
QWEN_3_VL = Layout(
    name="Qwen3-VL",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Qwen3-VL (VLM)",
    marks=(
        "{model.|}visual.deepstack_merger_list.#.linear_fc1.weight",
        "{model.|}visual.merger.linear_fc1.weight",
        "{model.|}language_model.layers.#.self_attn.q_norm.weight",
    ),
    sections=(
        Section(part="vision encoder", names="{model.|}visual." + QWEN_3_VISION),
        Section(part="language model", names="{model.|}language_model." + DECODER),
        Section(part="language model", names="lm_head.weight"),
    ),
    layers="{model.|}language_model.layers.#.self_attn.q_proj.weight",
    words=("qwen3_vl", "Qwen3VLForConditionalGeneration", "Qwen3VLModel"),
    licence="Apache-2.0 (Qwen); Cosmos-Reason 2 has NVIDIA's open model licence",
    source=TRANSFORMERS,
)
PRISMATIC = Layout(
    name="Prismatic VLM",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Prismatic (DINOv2, SigLIP and Llama 2; VLM)",
    marks=(
        "vision_backbone.featurizer.blocks.#.attn.qkv.weight",
        "projector.fc2.weight",
        "language_model.model.layers.#.self_attn.q_proj.weight",
    ),
    sections=(
        Section(part="vision encoder", names="vision_backbone.{featurizer|fused_featurizer}.*"),
        Section(part="projector", names="projector.fc{1|2|3}.{weight|bias}"),
        Section(part="language model", names="language_model." + DECODER),
        Section(part="language model", names="language_model.lm_head.weight"),
    ),
    layers="language_model.model.layers.#.self_attn.q_proj.weight",
    words=("prismatic", "PrismaticForConditionalGeneration"),
    licence="Llama 2 Community License for the language model",
    source="github moojink/openvla-oft@213c5ff, modeling_prismatic.py",
)
VLMS: tuple[Layout, ...] = (PALIGEMMA, GEMMA3, SMOLVLM, QWEN_2_5_VL, QWEN_3_VL, PRISMATIC)
