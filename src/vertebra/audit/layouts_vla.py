"""Policies on a vision-language model."""

from dataclasses import replace

from vertebra.audit.layout import Family, Layout, Measure, Section
from vertebra.audit.layouts_groot import GROOT_N1_5, GROOT_N1_6, GROOT_N1_7
from vertebra.audit.layouts_vlm import GEMMA_TERMS, PALIGEMMA, PRISMATIC
from vertebra.audit.names import ADAPTIVE_DECODER, DECODER, SIGLIP

PI_VLM = "paligemma_with_expert.paligemma.{model.|}"
PI_EXPERT = "paligemma_with_expert.gemma_expert."
PI_VLM_SECTIONS = (
    Section(part="vision encoder", names=PI_VLM + "vision_tower." + SIGLIP),
    Section(part="projector", names=PI_VLM + "multi_modal_projector.linear.{weight|bias}"),
    Section(part="language model", names=PI_VLM + "language_model." + DECODER),
    Section(part="language model", names="paligemma_with_expert.paligemma.lm_head.weight"),
)
PI_EXPERT_SECTIONS = (
    Section(part="action expert", names=PI_EXPERT + ADAPTIVE_DECODER),
    Section(part="action expert", names=PI_EXPERT + "lm_head.weight"),
)
PI_MARKS = (
    PI_VLM + "vision_tower.{vision_model.|}encoder.layers.#.self_attn.q_proj.weight",
    PI_VLM + "language_model.{model.|}layers.#.self_attn.k_proj.weight",
    PI_EXPERT + "model.layers.#.self_attn.k_proj.weight",
    "action_in_proj.weight",
    "action_out_proj.weight",
)
PI_EQUAL = (
    ("action_in_proj.weight", 1, "action_out_proj.weight", 0),
    ("action_in_proj.weight", 0, "action_out_proj.weight", 1),
    ("action_in_proj.weight", 0, PI_EXPERT + "model.layers.#.self_attn.k_proj.weight", 1),
    (
        *(PI_VLM + "language_model.{model.|}layers.#.self_attn.k_proj.weight", 0),
        *(PI_EXPERT + "model.layers.#.self_attn.k_proj.weight", 0),
    ),
)
PI_MEASURES = (
    Measure(
        label="action width (padded)",
        name="action_in_proj.weight",
        axis=1,
        keys=("max_action_dim", "action_dim"),
    ),
    Measure(label="action expert width", name="action_in_proj.weight", axis=0),
)
PI_COUPLES = (
    "joint attention: in every layer the action expert attends to keys and values of the language "
    "model (same number of layers, same key width); the prefix never sees the actions"
)
FLOW_DOWN = ("flow time", "1 is noise, 0 is data; 10 Euler steps")

PI0 = Layout(
    name="pi0 (openpi, LeRobot, transformers)",
    kind="policy",
    family=Family.VLA,
    backbone="PaliGemma (VLM)",
    marks=(*PI_MARKS, "state_proj.weight", "action_time_mlp_in.weight"),
    absent=("time_mlp_in.weight",),
    equal=PI_EQUAL,
    sections=(
        *PI_VLM_SECTIONS,
        *PI_EXPERT_SECTIONS,
        Section(
            part="actions, state and time in and out",
            names="{action_in_proj|action_out_proj|state_proj|action_time_mlp_{in|out}}"
            ".{weight|bias}",
        ),
    ),
    layers=PI_EXPERT + "model.layers.#.self_attn.q_proj.weight",
    measures=(
        *PI_MEASURES,
        Measure(
            label="state width (padded)",
            name="state_proj.weight",
            axis=1,
            keys=("max_state_dim", "action_dim"),
        ),
    ),
    words=("pi0", "PI0ForConditionalGeneration"),
    couples=PI_COUPLES,
    conventions=(
        FLOW_DOWN,
        ("normalisation", "mean and standard deviation"),
        ("joint actions", "relative to the state at the start of the chunk, gripper absolute"),
        ("images", "three fixed views; missing ones are zero and masked"),
    ),
    licence=GEMMA_TERMS + "; openpi code is Apache-2.0",
    source="github Physical-Intelligence/openpi@15a9616, huggingface/lerobot@7427f318, "
    "transformers 5.23 PI0ForConditionalGeneration",
)
PI0_VLM = "model.vlm."
PI0_MODULE = Layout(
    name="pi0 (transformers, names in memory)",
    kind="policy",
    family=Family.VLA,
    backbone="PaliGemma (VLM)",
    marks=(
        "model.dit.layers.#.self_attn.q_proj.weight",
        PI0_VLM + "language_model.layers.#.self_attn.q_proj.weight",
        PI0_VLM + "multi_modal_projector.linear.weight",
        "{embed_action_time.|}action_in_proj.weight",
        "action_out_proj.weight",
    ),
    equal=(
        ("{embed_action_time.|}action_in_proj.weight", 1, "action_out_proj.weight", 0),
        ("{embed_action_time.|}action_in_proj.weight", 0, "action_out_proj.weight", 1),
    ),
    sections=(
        Section(part="vision encoder", names=PI0_VLM + "vision_tower." + SIGLIP),
        Section(part="projector", names=PI0_VLM + "multi_modal_projector.linear.{weight|bias}"),
        Section(part="language model", names=PI0_VLM + "language_model." + DECODER),
        Section(part="action expert", names="model.dit." + DECODER),
        Section(
            part="actions, state and time in and out",
            names="{embed_action_time.|}{action_in_proj|action_out_proj|state_proj"
            "|action_time_mlp_{in|out}}.{weight|bias}",
        ),
    ),
    layers="model.dit.layers.#.self_attn.q_proj.weight",
    words=PI0.words,
    couples=PI_COUPLES,
    conventions=PI0.conventions,
    licence=GEMMA_TERMS,
    source="transformers 5.23, state_dict of PI0ForConditionalGeneration",
)
PI05 = replace(
    PI0,
    name="pi0.5 (openpi, LeRobot)",
    marks=(
        *PI_MARKS,
        "time_mlp_in.weight",
        PI_EXPERT + "model.layers.#.input_layernorm.dense.weight",
    ),
    absent=("action_time_mlp_in.weight", "state_proj.weight"),
    sections=(
        *PI_VLM_SECTIONS,
        *PI_EXPERT_SECTIONS,
        Section(
            part="actions and time in and out",
            names="{action_in_proj|action_out_proj|time_mlp_{in|out}}.{weight|bias}",
        ),
    ),
    measures=PI_MEASURES,
    words=("pi05",),
    conventions=(
        FLOW_DOWN,
        ("normalisation", "quantiles 1 % and 99 % to [-1, 1], not clipped"),
        ("state", "written into the prompt in 256 bins, unless discrete_state_input is off"),
        ("joint actions", "relative to the state at the start of the chunk, gripper absolute"),
        ("images", "three fixed views; missing ones are zero and masked"),
    ),
    source="github Physical-Intelligence/openpi@15a9616, huggingface/lerobot@7427f318",
)
PI0_FAST = replace(
    PALIGEMMA,
    name="pi0-FAST (LeRobot)",
    kind="policy",
    family=Family.VLA,
    words=("pi0_fast",),
    needs="configuration",
    couples="actions are tokens of the language model (FAST), decoded one after the other",
    conventions=(("normalisation", "quantiles 1 % and 99 % to [-1, 1]"),),
    source="github huggingface/lerobot@7427f318",
)
SMOLVLA = Layout(
    name="SmolVLA (LeRobot)",
    kind="policy",
    family=Family.VLA,
    backbone="SmolVLM2 (VLM)",
    marks=(
        "vlm_with_expert.vlm.model.connector.modality_projection.proj.weight",
        "vlm_with_expert.vlm.model.text_model.layers.#.self_attn.k_proj.weight",
        "vlm_with_expert.lm_expert.layers.#.self_attn.q_proj.weight",
        "action_in_proj.weight",
        "action_out_proj.weight",
        "action_time_mlp_in.weight",
        "state_proj.weight",
    ),
    equal=(
        *PI_EQUAL[:2],
        (
            *("action_in_proj.weight", 0),
            *("vlm_with_expert.lm_expert.layers.#.self_attn.q_proj.weight", 1),
        ),
    ),
    sections=(
        Section(part="vision encoder", names="vlm_with_expert.vlm.model." + SIGLIP),
        Section(
            part="projector",
            names="vlm_with_expert.vlm.model.connector.modality_projection.proj.weight",
        ),
        Section(part="language model", names="vlm_with_expert.vlm.model.text_model." + DECODER),
        Section(part="language model", names="vlm_with_expert.vlm.lm_head.weight"),
        Section(part="action expert", names="vlm_with_expert.lm_expert." + DECODER),
        PI0.sections[-1],
    ),
    layers="vlm_with_expert.vlm.model.text_model.layers.#.self_attn.q_proj.weight",
    measures=PI0.measures,
    words=("smolvla",),
    couples="the action expert cross-attends to keys and values of the language model, and attends "
    "to itself in every second layer",
    conventions=(FLOW_DOWN, ("normalisation", "mean and standard deviation")),
    licence="Apache-2.0 (HuggingFaceTB, LeRobot)",
    source="github huggingface/lerobot@7427f318",
)
OPENVLA = replace(
    PRISMATIC,
    name="OpenVLA (and OpenVLA-OFT)",
    kind="policy",
    family=Family.VLA,
    words=("openvla", "OpenVLAForActionPrediction"),
    needs="configuration",
    couples="actions are tokens of the language model; OFT reads its hidden states by a small head "
    "in a file of its own (action_head--*.pt)",
    conventions=(
        ("normalisation", "quantiles 1 % and 99 % to [-1, 1], under the key of the data set"),
        ("images", "a centre crop of 90 % if it was trained with random crops"),
    ),
)
VLA_POLICIES: tuple[Layout, ...] = (
    *(PI0, PI0_MODULE, PI05, PI0_FAST, SMOLVLA, OPENVLA),
    *(GROOT_N1_5, GROOT_N1_6, GROOT_N1_7),
)
