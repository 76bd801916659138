"""Video models without a way to actions."""

from vertebra.audit.layout import Family, Layout, Measure, Section
from vertebra.audit.names import (
    COSMOS_NETWORK,
    DIFFUSERS,
    TRANSFORMERS,
    WAN_BLOCK,
    WAN_DIFFUSERS_BLOCK,
    WAN_EDGES,
)

WAN_DIFFUSERS = Layout(
    name="Wan video transformer (diffusers)",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Wan (video model)",
    marks=(
        "patch_embedding.weight",
        "condition_embedder.text_embedder.linear_1.weight",
        "blocks.#.attn1.to_q.weight",
        "blocks.#.attn2.to_k.weight",
        "proj_out.weight",
    ),
    sections=(
        Section(part="video blocks", names="blocks.#." + WAN_DIFFUSERS_BLOCK),
        Section(part="video in and out", names="{patch_embedding|proj_out}.{weight|bias}"),
        Section(part="video in and out", names="scale_shift_table"),
        Section(part="text and time conditioning", names="condition_embedder.*"),
    ),
    layers="blocks.#.attn1.to_q.weight",
    measures=(
        Measure(label="width", name="blocks.#.attn1.to_q.weight", axis=0),
        Measure(
            label="latent channels in", name="patch_embedding.weight", axis=1, keys=("in_channels",)
        ),
    ),
    words=("WanTransformer3DModel",),
    licence="Apache-2.0 (Wan-AI)",
    source=DIFFUSERS,
)
WAN_ORIGINAL = Layout(
    name="Wan video transformer (original names)",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Wan (video model)",
    marks=(
        "patch_embedding.weight",
        "time_projection.#.weight",
        "blocks.#.self_attn.q.weight",
        "blocks.#.cross_attn.k.weight",
        "head.head.weight",
    ),
    sections=(
        Section(part="video blocks", names="blocks.#." + WAN_BLOCK),
        Section(part="video in and out, conditioning", names="{" + WAN_EDGES + "}"),
    ),
    layers="blocks.#.self_attn.q.weight",
    measures=(Measure(label="width", name="blocks.#.self_attn.q.weight", axis=0),),
    words=("WanModel", "t2v", "i2v", "ti2v"),
    licence="Apache-2.0 (Wan-AI)",
    source="github Wan-Video/Wan2.1; same names in FastWAM@45d8e14 and dreamzero@ab790c1",
)
COSMOS_DIFFUSERS = Layout(
    name="Cosmos video transformer (diffusers)",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Cosmos-Predict (video model)",
    marks=(
        "patch_embed.proj.weight",
        "time_embed.t_embedder.linear_1.weight",
        "transformer_blocks.#.norm1.linear_1.weight",
        "transformer_blocks.#.attn2.to_k.weight",
        "proj_out.weight",
    ),
    sections=(
        Section(
            part="video blocks",
            names="transformer_blocks.#.{{attn1|attn2}.{to_q|to_k|to_v|to_out.#|norm_q|norm_k}"
            "|ff.net.#|ff.net.#.proj|{norm1|norm2|norm3}.linear_{1|2}}.weight",
        ),
        Section(
            part="video in and out, conditioning",
            names="{patch_embed.proj|time_embed.norm|time_embed.t_embedder.linear_{1|2}|proj_out"
            "|norm_out.linear_{1|2}|crossattn_proj.#|learnable_pos_embed.*}.{weight|bias}",
        ),
    ),
    layers="transformer_blocks.#.attn1.to_q.weight",
    measures=(Measure(label="width", name="transformer_blocks.#.attn1.to_q.weight", axis=0),),
    words=("CosmosTransformer3DModel",),
    licence="NVIDIA Open Model License",
    source=DIFFUSERS,
)
COSMOS_NVIDIA = Layout(
    name="Cosmos-Predict2 network (NVIDIA's names)",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Cosmos-Predict2 (video model)",
    marks=(
        "x_embedder.proj.#.weight",
        "blocks.#.adaln_modulation_cross_attn.#.weight",
        "blocks.#.cross_attn.k_proj.weight",
        "final_layer.linear.weight",
    ),
    absent=("action_embedder{_B_D|_B_3D|}.*",),
    sections=(Section(part="video transformer", names=COSMOS_NETWORK),),
    layers="blocks.#.self_attn.q_proj.weight",
    licence="NVIDIA Open Model License",
    source="github NVlabs/cosmos-policy@18a2acc, MiniTrainDIT",
)
LTX = Layout(
    name="LTX-Video transformer",
    kind="backbone",
    family=Family.NEITHER,
    backbone="LTX-Video (video model)",
    marks=(
        "caption_projection.linear_1.weight",
        "proj_in.weight",
        "time_embed.emb.timestep_embedder.linear_1.weight",
        "transformer_blocks.#.scale_shift_table",
    ),
    sections=(
        Section(
            part="video blocks",
            names="transformer_blocks.#.{scale_shift_table|{{attn1|attn2}.{to_q|to_k|to_v|to_out.#"
            "|norm_q|norm_k}|ff.net.#|ff.net.#.proj}.{weight|bias}}",
        ),
        Section(
            part="video in and out, conditioning",
            names="{scale_shift_table|{proj_in|proj_out|caption_projection.linear_{1|2}"
            "|time_embed.linear|time_embed.emb.timestep_embedder.linear_{1|2}}.{weight|bias}}",
        ),
    ),
    layers="transformer_blocks.#.attn1.to_q.weight",
    words=("LTXVideoTransformer3DModel",),
    licence="LTX-Video open weights licence (Lightricks)",
    source=DIFFUSERS,
)
SVD = Layout(
    name="Stable Video Diffusion U-Net",
    kind="backbone",
    family=Family.NEITHER,
    backbone="Stable Video Diffusion (video model)",
    marks=(
        "conv_in.weight",
        "add_embedding.linear_1.weight",
        "down_blocks.#.attentions.#.temporal_transformer_blocks.#.attn1.to_q.weight",
        "up_blocks.#.resnets.#.temporal_res_block.conv1.weight",
    ),
    sections=(
        Section(part="video U-Net", names="{down_blocks.#|mid_block|up_blocks.#}.*"),
        Section(
            part="video in and out, conditioning",
            names="{conv_in|conv_out|conv_norm_out|time_embedding.linear_{1|2}"
            "|add_embedding.linear_{1|2}}.{weight|bias}",
        ),
    ),
    words=("UNetSpatioTemporalConditionModel",),
    licence="Stability AI Community License",
    source=DIFFUSERS,
)
VJEPA2 = Layout(
    name="V-JEPA 2",
    kind="backbone",
    family=Family.NEITHER,
    backbone="V-JEPA 2 (video representation model)",
    marks=(
        "encoder.embeddings.patch_embeddings.proj.weight",
        "encoder.layer.#.attention.query.weight",
        "predictor.embeddings.predictor_embeddings.weight",
        "predictor.layer.#.attention.query.weight",
    ),
    sections=(
        Section(part="video encoder", names="encoder.*"),
        Section(part="latent predictor", names="predictor.*"),
        Section(part="pooler", names="pooler.*"),
    ),
    layers="encoder.layer.#.attention.query.weight",
    words=("vjepa2", "VJEPA2Model"),
    licence="MIT and Apache-2.0 (Meta)",
    source=TRANSFORMERS,
)
VIDEO_MODELS: tuple[Layout, ...] = (
    *(WAN_DIFFUSERS, WAN_ORIGINAL, COSMOS_DIFFUSERS, COSMOS_NVIDIA, LTX, SVD, VJEPA2),
)
