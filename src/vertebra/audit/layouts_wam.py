"""Policies on a video model."""

from dataclasses import replace

from vertebra.audit.layout import Family, Layout, Measure, Section
from vertebra.audit.layouts_video import COSMOS_NVIDIA
from vertebra.audit.names import WAN_BLOCK, WAN_DIFFUSERS_BLOCK, WAN_EDGES

WAN_LICENCE = "Apache-2.0 (Wan-AI)"
FLOW = ("flow time", "the model predicts noise minus data, with shift 5 on the video times")
VIDEO_BLOCK = "mot.{mixtures.video.blocks.#|layers.#.blocks.video}."
ACTION_BLOCK = "mot.{mixtures.action.blocks.#|layers.#.blocks.action}."

FAST_WAM = Layout(
    name="Fast-WAM (original, LeRobot)",
    kind="policy",
    family=Family.WAM,
    backbone="Wan2.2 (video model)",
    marks=(
        "mot.mixtures.video.patch_embedding.weight",
        "mot.mixtures.video.head.head.weight",
        "mot.mixtures.action.action_encoder.weight",
        "mot.mixtures.action.head.weight",
        VIDEO_BLOCK + "self_attn.q.weight",
        ACTION_BLOCK + "self_attn.q.weight",
    ),
    equal=(
        (VIDEO_BLOCK + "self_attn.q.weight", 0, ACTION_BLOCK + "self_attn.q.weight", 0),
        (
            *("mot.mixtures.action.action_encoder.weight", 1),
            *("mot.mixtures.action.head.weight", 0),
        ),
    ),
    sections=(
        Section(part="video expert", names=VIDEO_BLOCK + WAN_BLOCK),
        Section(part="video expert", names="mot.mixtures.video.{" + WAN_EDGES + "}"),
        Section(part="action expert", names=ACTION_BLOCK + WAN_BLOCK),
        Section(
            part="action expert",
            names="mot.mixtures.action.{action_encoder|head|text_embedding.#|time_embedding.#"
            "|time_projection.#}.{weight|bias}",
        ),
        Section(part="state in", names="proprio_encoder.{weight|bias}"),
    ),
    layers=VIDEO_BLOCK + "self_attn.q.weight",
    measures=(
        Measure(
            label="action width",
            name="mot.mixtures.action.action_encoder.weight",
            axis=1,
            keys=("action_dim",),
        ),
        Measure(label="state width", name="proprio_encoder.weight", axis=1, keys=("proprio_dim",)),
        Measure(label="video width", name=VIDEO_BLOCK + "self_attn.q.weight", axis=1),
    ),
    words=("fastwam",),
    couples="joint attention of two experts with the same heads. What the actions may see (first "
    "frame, all video, or a finished future) is a mask and not in the weights: Fast-WAM, its Joint "
    "and its IDM variant have the same tensors",
    conventions=(
        FLOW,
        ("normalisation", "minimum and maximum (LIBERO), mean and deviation (RoboTwin)"),
        ("text", "a fixed sentence about a robot's video around the instruction"),
        ("chunk", "32 actions to 9 frames"),
    ),
    licence=WAN_LICENCE + "; Fast-WAM code MIT",
    source="github yuantianyuan01/FastWAM@45d8e14, huggingface/lerobot@7427f318",
)
LINGBOT_VA = Layout(
    name="LingBot-VA (original, LeRobot)",
    kind="policy",
    family=Family.WAM,
    backbone="Wan2.2 (video model)",
    marks=(
        "patch_embedding_mlp.weight",
        "action_embedder.weight",
        "action_proj_out.weight",
        "condition_embedder_action.time_embedder.linear_1.weight",
        "blocks.#.attn1.to_q.weight",
        "proj_out.weight",
    ),
    equal=(
        ("action_embedder.weight", 1, "action_proj_out.weight", 0),
        ("action_embedder.weight", 0, "patch_embedding_mlp.weight", 0),
    ),
    sections=(
        Section(part="video and action blocks (shared)", names="blocks.#." + WAN_DIFFUSERS_BLOCK),
        Section(
            part="video in and out",
            names="{patch_embedding_mlp|proj_out}.{weight|bias}|scale_shift_table",
        ),
        Section(part="actions in and out", names="{action_embedder|action_proj_out}.{weight|bias}"),
        Section(part="text and time conditioning", names="condition_embedder{_action|}.*"),
    ),
    layers="blocks.#.attn1.to_q.weight",
    measures=(
        Measure(label="action width", name="action_embedder.weight", axis=1, keys=("action_dim",)),
        Measure(label="width", name="action_embedder.weight", axis=0),
    ),
    words=("lingbot_va", "WanTransformer3DModel"),
    couples="one transformer for video and action tokens, chunk after chunk: actions attend to "
    "this chunk's imagined video and to the past",
    conventions=(
        FLOW,
        ("normalisation", "quantiles 1 % and 99 % to [-1, 1]"),
        (
            "actions",
            "30 channels: two arms of 7 pose and 7 joint values, 2 grippers; xyz and a "
            "quaternion relative to the first pose of the episode",
        ),
    ),
    licence=WAN_LICENCE + "; LingBot-VA code Apache-2.0",
    source="github Robbyant/lingbot-va@6f092cb, huggingface/lerobot@7427f318",
)
DREAMZERO_NET = "action_head.model."
DREAMZERO = Layout(
    name="DreamZero",
    kind="policy",
    family=Family.WAM,
    backbone="Wan (video model)",
    marks=(
        DREAMZERO_NET + "patch_embedding.weight",
        DREAMZERO_NET + "head.head.weight",
        DREAMZERO_NET + "blocks.#.self_attn.q.weight",
        DREAMZERO_NET + "action_encoder.W1.W",
        DREAMZERO_NET + "action_decoder.layer2.W",
        DREAMZERO_NET + "state_encoder.layer1.W",
    ),
    equal=(
        (DREAMZERO_NET + "action_encoder.W1.W", 1, DREAMZERO_NET + "action_decoder.layer2.W", 2),
        (DREAMZERO_NET + "action_encoder.W1.W", 2, DREAMZERO_NET + "patch_embedding.weight", 0),
    ),
    sections=(
        Section(
            part="video and action blocks (shared)", names=DREAMZERO_NET + "blocks.#." + WAN_BLOCK
        ),
        Section(part="video in and out, conditioning", names=DREAMZERO_NET + "{" + WAN_EDGES + "}"),
        Section(
            part="actions and state in and out",
            names=DREAMZERO_NET + "{state_encoder.layer{1|2}|action_encoder.{W1|W2|W3}"
            "|action_decoder.layer{1|2}}.{W|b}",
        ),
        Section(part="text encoder", names="action_head.text_encoder.*"),
        Section(part="image encoder", names="action_head.image_encoder.*"),
        Section(part="video autoencoder", names="action_head.vae.*"),
    ),
    layers=DREAMZERO_NET + "blocks.#.self_attn.q.weight",
    measures=(
        Measure(
            label="action width (padded)",
            name=DREAMZERO_NET + "action_encoder.W1.W",
            axis=1,
            keys=("action_dim",),
        ),
        Measure(label="width", name=DREAMZERO_NET + "patch_embedding.weight", axis=0),
    ),
    words=("dreamzero",),
    couples="one transformer over video, action and state tokens; this chunk's actions see this "
    "chunk's noisy video and the real past",
    conventions=(
        FLOW,
        ("normalisation", "quantiles 1 % and 99 % to [-1, 1]"),
        ("actions", "relative joint positions, gripper absolute"),
        ("views", "several cameras in one picture, in a fixed order that the text describes"),
    ),
    licence=WAN_LICENCE + "; DreamZero code Apache-2.0",
    source="github dreamzero0/dreamzero@ab790c1",
)
COSMOS_POLICY = replace(
    COSMOS_NVIDIA,
    name="Cosmos Policy",
    kind="policy",
    family=Family.WAM,
    words=("cosmos_policy", "cosmos-policy"),
    needs="action statistics",
    couples="actions, state and value are written into latent frames of the video model; the "
    "network has no tensor of its own for them",
    conventions=(
        ("normalisation", "minimum and maximum to [-1, 1]"),
        ("chunk", "tiled over a latent frame and read back as the mean of the repeats"),
    ),
)
MIMIC_VIDEO = Layout(
    name="mimic-video action decoder",
    kind="policy",
    family=Family.WAM,
    backbone="Cosmos-Predict2 (video model), kept elsewhere",
    marks=(
        "obs_mask_token",
        "action_embedder.layers.#.weight",
        "obs_embedder.layers.#.weight",
        "t_embedder.pair.proj_c.weight",
        "blocks.#.cross_attn.k_proj.weight",
        "final_layer.linear.weight",
    ),
    equal=(
        ("final_layer.linear.weight", 0, "action_embedder.layers.#.weight", 1),
        ("ctx_norm.weight", 0, "blocks.#.cross_attn.k_proj.weight", 1),
    ),
    sections=(
        Section(part="action decoder blocks", names="blocks.#.*"),
        Section(
            part="actions, state and times in and out",
            names="obs_mask_token|pos_embedding|{{obs|action}_embedder.layers.#|ctx_norm"
            "|t_embedder.pair.{proj_x|proj_c|A|B|C}|final_layer.linear"
            "|final_layer.adaln_modulation.#}.{weight|bias}|t_embedding_norm.{weight|_extra_state}",
        ),
    ),
    layers="blocks.#.self_attn.q_proj.weight",
    measures=(
        Measure(label="action width", name="final_layer.linear.weight", axis=0),
        Measure(label="chunk and history", name="pos_embedding", axis=1),
        Measure(label="width that it reads", name="ctx_norm.weight", axis=0),
    ),
    words=("mimic_video",),
    couples="a decoder cross-attends to hidden states of one layer of a video model, at a chosen "
    "time of the video's flow",
    conventions=(
        ("actions", "relative to the current pose, rotation as six numbers, gripper last"),
        ("video", "five past frames; the frame rate is told to the model"),
    ),
    licence="see the Cosmos-Predict2 backbone: NVIDIA Open Model License",
    source="github EugeneSeo/mimic-video@4a7a5ef (fork of mimic-video/mimic-video)",
)
WAM_POLICIES: tuple[Layout, ...] = (FAST_WAM, LINGBOT_VA, DREAMZERO, COSMOS_POLICY, MIMIC_VIDEO)
