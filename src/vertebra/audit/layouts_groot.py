"""The GR00T policies: a head that reads a vision-language model."""

from dataclasses import replace

from vertebra.audit.layout import Family, Layout, Measure, Section
from vertebra.audit.names import DECODER, GROOT_EMBODIMENT, GROOT_HEAD, QWEN_3_VISION, SIGLIP

FLOW_UP = ("flow time", "0 is noise, 1 is data; 4 Euler steps")
GROOT_MARKS = (
    "action_head.action_encoder.W1.W",
    "action_head.action_decoder.layer2.W",
    "action_head.state_encoder.layer1.W",
    "action_head.model.transformer_blocks.#.attn1.to_k.weight",
    "action_head.model.proj_out_2.weight",
)
GROOT_ACTION_SECTIONS = (
    Section(part="action head (DiT)", names="action_head." + GROOT_HEAD),
    Section(
        part="actions and state, one set a robot", names="action_head.{" + GROOT_EMBODIMENT + "}"
    ),
)
GROOT_N1_6 = Layout(
    name="GR00T N1.6",
    kind="policy",
    family=Family.VLA,
    backbone="Eagle / Cosmos-Reason (VLM)",
    marks=(
        "backbone.model.language_model.{model.|}layers.#.self_attn.q_proj.weight",
        "backbone.model.vision_model.{vision_model.|}encoder.layers.#.self_attn.q_proj.weight",
        *GROOT_MARKS,
    ),
    equal=(
        *(("action_head.action_encoder.W1.W", 1, "action_head.action_decoder.layer2.W", 2),),
        *(("action_head.action_encoder.W1.W", 0, "action_head.action_decoder.layer2.W", 0),),
    ),
    sections=(
        Section(part="vision encoder", names="backbone.model.vision_model." + SIGLIP),
        Section(part="projector", names="backbone.model.mlp1.#.{weight|bias}"),
        Section(part="language model", names="backbone.model.language_model." + DECODER),
        Section(part="language model", names="backbone.model.language_model.lm_head.weight"),
        *GROOT_ACTION_SECTIONS,
    ),
    layers="backbone.model.language_model.{model.|}layers.#.self_attn.q_proj.weight",
    measures=(
        Measure(
            label="action width (padded)",
            name="action_head.action_encoder.W1.W",
            axis=1,
            keys=("max_action_dim", "action_dim"),
        ),
        Measure(label="robots it has weights for", name="action_head.action_encoder.W1.W", axis=0),
        Measure(
            label="width that the action head reads",
            name="action_head.model.transformer_blocks.#.attn1.to_k.weight",
            axis=1,
            keys=("backbone_embedding_dim",),
        ),
    ),
    words=("Gr00tN1d6", "gr00t_n1_6"),
    couples="a separate DiT cross-attends to hidden states of one layer of the VLM",
    conventions=(
        FLOW_UP,
        ("normalisation", "minimum and maximum, or quantiles 1 % and 99 %"),
        ("actions", "relative to the state for most robots"),
    ),
    licence="NVIDIA licence for the weights; code Apache-2.0",
    source="github arnavinator/Isaac-GR00T@0078914 (fork of NVIDIA/Isaac-GR00T)",
)
GROOT_N1_5 = replace(
    GROOT_N1_6,
    name="GR00T N1.5",
    backbone="Eagle 2.5 (VLM)",
    marks=(
        "backbone.eagle_model.language_model.{model.|}layers.#.self_attn.q_proj.weight",
        "backbone.eagle_model.vision_model.{vision_model.|}encoder.layers.#.self_attn.q_proj.weight",
        *GROOT_MARKS,
    ),
    sections=(
        Section(part="vision encoder", names="backbone.eagle_model.vision_model." + SIGLIP),
        Section(part="projector", names="backbone.eagle_model.mlp1.#.{weight|bias}"),
        Section(part="projector", names="backbone.eagle_linear.{weight|bias}"),
        Section(part="language model", names="backbone.eagle_model.language_model." + DECODER),
        Section(part="language model", names="backbone.eagle_model.language_model.lm_head.weight"),
        *GROOT_ACTION_SECTIONS,
    ),
    layers="backbone.eagle_model.language_model.{model.|}layers.#.self_attn.q_proj.weight",
    words=("gr00t_n1_5", "GR00T_N1_5"),
    source="github NVIDIA/Isaac-GR00T, branch n1.5-release",
)
GROOT_N1_7 = replace(
    GROOT_N1_6,
    name="GR00T N1.7",
    backbone="Cosmos-Reason 2 / Qwen3-VL (VLM)",
    marks=(
        "backbone.model.{model.|}visual.deepstack_merger_list.#.linear_fc1.weight",
        "backbone.model.{model.|}language_model.layers.#.self_attn.q_proj.weight",
        *GROOT_MARKS,
    ),
    sections=(
        Section(part="vision encoder", names="backbone.model.{model.|}visual." + QWEN_3_VISION),
        Section(part="language model", names="backbone.model.{model.|}language_model." + DECODER),
        Section(part="language model", names="backbone.model.lm_head.weight"),
        *GROOT_ACTION_SECTIONS,
    ),
    layers="backbone.model.{model.|}language_model.layers.#.self_attn.q_proj.weight",
    words=("Gr00tN1d7", "gr00t_n1_7", "groot"),
    source="github huggingface/lerobot@7427f318, policies/groot",
)
