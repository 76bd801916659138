"""Policies on both kinds of backbone or on neither, and world models that are given actions."""

from vertebra.audit.layout import Family, Layout, Measure, Section
from vertebra.audit.layouts_video import COSMOS_NVIDIA
from vertebra.audit.names import COSMOS_NETWORK, DECODER, QWEN_3_VISION

COSMOS3 = Layout(
    name="Cosmos 3 (diffusers)",
    kind="policy",
    family=Family.HYBRID,
    backbone="Cosmos 3: a language model and a video generator side by side",
    marks=(
        "action_proj_in.fc.weight",
        "action_proj_out.fc.weight",
        "layers.#.mlp_moe_gen.up_proj.weight",
        "layers.#.self_attn.add_q_proj.weight",
        "lm_head.weight",
    ),
    equal=(("action_proj_in.fc.weight", 0, "action_proj_out.fc.weight", 0),),
    sections=(
        Section(
            part="language model",
            names="{embed_tokens|lm_head|norm|layers.#.{input_layernorm|post_attention_layernorm"
            "|mlp.{gate|up|down}_proj|self_attn.{to_q|to_k|to_v|to_out|norm_q|norm_k}}}.weight",
        ),
        Section(
            part="video and action generator",
            names="{norm_moe_gen|layers.#.{input_layernorm_moe_gen|post_attention_layernorm_moe_gen"
            "|mlp_moe_gen.{gate|up|down}_proj|self_attn.{add_{q|k|v}_proj|to_add_out|norm_added_q"
            "|norm_added_k}}}.weight",
        ),
        Section(
            part="video in and out",
            names="{proj_in|proj_out|time_embedder.linear_{1|2}}.{weight|bias}",
        ),
        Section(
            part="actions in and out",
            names="action_modality_embed|action_proj_{in|out}.{fc|bias}.weight",
        ),
    ),
    layers="layers.#.self_attn.to_q.weight",
    words=("Cosmos3OmniTransformer",),
    couples="action tokens stand beside video latents in the generator, which attends to the "
    "language model in every layer; whether it acts or only imagines is a mode, not in the weights",
    licence="NVIDIA Open Model License",
    source="diffusers 0.42, written by save_pretrained",
)
VLA_JEPA = Layout(
    name="VLA-JEPA (LeRobot)",
    kind="policy",
    family=Family.HYBRID,
    backbone="Qwen3-VL (VLM) and V-JEPA 2 (video representation model)",
    marks=(
        "qwen.model.{model.|}visual.deepstack_merger_list.#.linear_fc1.weight",
        "qwen.model.{model.|}language_model.layers.#.self_attn.q_proj.weight",
        "video_predictor.predictor_blocks.#.attn.qkv.weight",
        "video_encoder.encoder.layer.#.attention.query.weight",
        "action_model.action_encoder.layer1.weight",
        "action_model.action_decoder.layer2.weight",
    ),
    equal=(
        (
            *("action_model.action_encoder.layer1.weight", 1),
            *("action_model.action_decoder.layer2.weight", 0),
        ),
    ),
    sections=(
        Section(part="vision encoder", names="qwen.model.{model.|}visual." + QWEN_3_VISION),
        Section(part="language model", names="qwen.model.{model.|}language_model." + DECODER),
        Section(part="language model", names="qwen.model.lm_head.weight"),
        Section(part="action head (DiT)", names="action_model.*"),
        Section(part="video encoder", names="video_encoder.{encoder|predictor}.*"),
        Section(part="latent predictor", names="video_predictor.*"),
    ),
    layers="qwen.model.{model.|}language_model.layers.#.self_attn.q_proj.weight",
    measures=(
        Measure(label="action width", name="action_model.action_encoder.layer1.weight", axis=1),
    ),
    words=("vla_jepa",),
    couples="a DiT cross-attends to the VLM; the predictor of future video features shapes the VLM "
    "in training and is not run when acting",
    source="github huggingface/lerobot@7427f318",
)
COSMOS_ACTION_CONDITIONED = Layout(
    name="Cosmos-Predict2, action-conditioned",
    kind="world model",
    family=Family.NEITHER,
    backbone="Cosmos-Predict2 (video model)",
    marks=(
        *COSMOS_NVIDIA.marks,
        "action_embedder_B_D.fc1.weight",
        "action_embedder_B_3D.fc1.weight",
    ),
    sections=(
        Section(part="video transformer", names=COSMOS_NETWORK),
        Section(
            part="actions in (none come out)",
            names="action_embedder_{B_D|B_3D}.{fc1|fc2}.{weight|bias}",
        ),
    ),
    layers="blocks.#.self_attn.q_proj.weight",
    couples="actions are an input that shifts the norms; nothing predicts actions",
    licence="NVIDIA Open Model License",
    source="github NVlabs/cosmos-policy@18a2acc, ActionConditionedMinimalV1LVGDiT",
)
ACT = Layout(
    name="ACT (LeRobot)",
    kind="policy",
    family=Family.NEITHER,
    backbone="",
    marks=(
        "encoder_img_feat_input_proj.weight",
        "decoder.layers.#.multihead_attn.in_proj_weight",
        "decoder_pos_embed.weight",
        "action_head.weight",
    ),
    equal=(("decoder_pos_embed.weight", 1, "action_head.weight", 1),),
    sections=(
        Section(part="image encoder (ResNet)", names="backbone.*"),
        Section(part="transformer", names="{encoder|decoder}.{layers.#|norm}.*"),
        Section(part="training-time encoder of actions", names="vae_encoder{.|_}*"),
        Section(
            part="actions, state and positions in and out",
            names="{action_head|decoder_pos_embed|encoder_{1d_feature_pos_embed|img_feat_input_proj"
            "|latent_input_proj|robot_state_input_proj|env_state_input_proj}}.{weight|bias}",
        ),
    ),
    measures=(
        Measure(label="action width", name="action_head.weight", axis=0),
        Measure(label="chunk", name="decoder_pos_embed.weight", axis=0, keys=("chunk_size",)),
    ),
    words=("act",),
    couples="image features and state enter one transformer that regresses the chunk; no language",
    licence="Apache-2.0 (LeRobot)",
    source="github huggingface/lerobot@7427f318",
)
DIFFUSION = Layout(
    name="Diffusion Policy (LeRobot)",
    kind="policy",
    family=Family.NEITHER,
    backbone="",
    marks=(
        "unet.diffusion_step_encoder.#.weight",
        "unet.down_modules.#.#.conv1.block.#.weight",
        "unet.final_conv.#.weight",
        "rgb_encoder.{#.|}backbone.#.weight",
    ),
    sections=(
        Section(part="image encoder (ResNet)", names="rgb_encoder.*"),
        Section(part="action U-Net", names="unet.*"),
    ),
    words=("diffusion",),
    couples="image features and state condition a U-Net over the action chunk; no language",
    licence="Apache-2.0 (LeRobot)",
    source="github huggingface/lerobot@7427f318",
)
OTHERS: tuple[Layout, ...] = (COSMOS3, VLA_JEPA, COSMOS_ACTION_CONDITIONED, ACT, DIFFUSION)
