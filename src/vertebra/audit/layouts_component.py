"""Parts that are no backbone of a policy by themselves: autoencoders, text and image encoders."""

from vertebra.audit.layout import Family, Layout, Section
from vertebra.audit.names import DECODER, DIFFUSERS, SIGLIP, TRANSFORMERS

WAN = "github Wan-Video/Wan2.1; same names in dreamzero0/dreamzero@ab790c1"


def component(
    name: str, marks: tuple[str, ...], owns: str, words: tuple[str, ...], source: str, **rest: str
) -> Layout:
    """A part whose tensors form one section.

    Args:
        name: What it is.
        marks: Names that must be there.
        owns: Names of all its tensors.
        words: How configurations call it.
        source: Where the names are from.
        rest: `absent`, a name that must not be there.
    """
    return Layout(
        name=name,
        kind="component",
        family=Family.NEITHER,
        backbone="",
        marks=marks,
        absent=(rest["absent"],) if "absent" in rest else (),
        sections=(Section(part=name, names=owns),),
        words=words,
        source=source,
    )


COMPONENTS: tuple[Layout, ...] = (
    component(
        "Wan video autoencoder",
        (
            "quant_conv.weight",
            "decoder.conv_in.weight",
            "encoder.mid_block.attentions.#.norm.gamma",
        ),
        "{encoder|decoder}.*|{quant_conv|post_quant_conv}.{weight|bias}",
        ("AutoencoderKLWan",),
        DIFFUSERS,
    ),
    component(
        "Wan video autoencoder (original names)",
        (
            "encoder.downsamples.#.{downsamples.#.|}residual.#.gamma",
            "decoder.upsamples.#.{upsamples.#.|}residual.#.gamma",
            "conv2.weight",
        ),
        "{encoder|decoder}.*|{conv1|conv2}.{weight|bias}",
        (),
        WAN,
    ),
    component(
        "UMT5 text encoder (Wan's names)",
        (
            "token_embedding.weight",
            "blocks.#.attn.q.weight",
            "blocks.#.ffn.gate.#.weight",
            "blocks.#.pos_embedding.embedding.weight",
        ),
        "token_embedding.weight|norm.weight|{pos_embedding|blocks.#.pos_embedding}.embedding.weight"
        "|blocks.#.{norm1|norm2|attn.{q|k|v|o}|ffn.{gate.#|fc1|fc2}}.weight",
        (),
        WAN,
    ),
    component(
        "LTX video autoencoder",
        ("encoder.conv_in.conv.weight", "decoder.conv_out.conv.weight", "latents_mean"),
        "{encoder|decoder}.*|latents_{mean|std}",
        ("AutoencoderKLLTXVideo",),
        DIFFUSERS,
    ),
    component(
        "image autoencoder",
        (
            "quant_conv.weight",
            "decoder.conv_in.weight",
            "encoder.mid_block.attentions.#.group_norm.weight",
        ),
        "{encoder|decoder}.*|{quant_conv|post_quant_conv}.{weight|bias}",
        ("AutoencoderKL", "AutoencoderKLTemporalDecoder"),
        DIFFUSERS,
    ),
    component(
        "action head of OpenVLA-OFT",
        (
            "mlp_resnet_blocks.#.ffn.#.weight",
            "layer_norm1.weight",
            "layer_norm2.weight",
            "fc2.weight",
        ),
        "{layer_norm1|layer_norm2|fc1|fc2|mlp_resnet_blocks.#.ffn.#}.{weight|bias}",
        (),
        "github moojink/openvla-oft@213c5ff, action_heads.py",
    ),
    component(
        "T5 text encoder",
        ("shared.weight", "encoder.block.#.layer.#.SelfAttention.q.weight"),
        "shared.weight|encoder.{embed_tokens.weight|final_layer_norm.weight|block.#.layer.#.*}",
        ("t5", "umt5", "T5EncoderModel", "UMT5EncoderModel"),
        TRANSFORMERS,
        absent="decoder.block.#.layer.#.SelfAttention.q.weight",
    ),
    component(
        "T5 text-to-text model",
        (
            "shared.weight",
            "encoder.block.#.layer.#.SelfAttention.q.weight",
            "decoder.block.#.layer.#.EncDecAttention.q.weight",
        ),
        "shared.weight|lm_head.weight"
        "|{encoder|decoder}.{embed_tokens.weight|final_layer_norm.weight|block.#.layer.#.*}",
        ("t5", "umt5", "T5ForConditionalGeneration", "UMT5ForConditionalGeneration"),
        TRANSFORMERS,
    ),
    component(
        "image classifier (ViT)",
        (
            "vit.{encoder.layer.#.attention.attention.query|layers.#.attention.q_proj}.weight",
            "classifier.weight",
        ),
        "vit.{embeddings|encoder|layers|layernorm|pooler}.*|classifier.{weight|bias}",
        ("vit", "ViTForImageClassification"),
        TRANSFORMERS,
    ),
    component(
        "CLIP text and image encoder",
        ("text_projection.weight", "visual_projection.weight", "text_model.encoder.layers.#.*"),
        "{text_model|vision_model}.*|{text_projection|visual_projection}.weight|logit_scale",
        ("clip", "CLIPModel"),
        TRANSFORMERS,
    ),
    component(
        "SigLIP text and image encoder",
        ("logit_bias", "text_model.head.weight", "vision_model.encoder.layers.#.*"),
        "{text_model|vision_model}.*|logit_{scale|bias}",
        ("siglip", "siglip2", "SiglipModel", "Siglip2Model"),
        TRANSFORMERS,
    ),
    component(
        "SigLIP image encoder",
        (
            "{vision_model.|}embeddings.patch_embedding.weight",
            "{vision_model.|}encoder.layers.#.self_attn.out_proj.weight",
            "{vision_model.|}post_layernorm.weight",
        ),
        SIGLIP,
        ("siglip_vision_model", "siglip2_vision_model", "SiglipVisionModel"),
        TRANSFORMERS,
        absent="{vision_model.|}{embeddings.class_embedding|pre_layrnorm.weight}",
    ),
    component(
        "DINOv2 image encoder",
        (
            "embeddings.mask_token",
            "encoder.layer.#.layer_scale1.lambda1",
            "encoder.layer.#.attention.{attention.query|q_proj}.weight",
        ),
        "{embeddings|encoder|layernorm}.*",
        ("dinov2", "Dinov2Model"),
        TRANSFORMERS,
    ),
    component(
        "language model",
        (
            "model.embed_tokens.weight",
            "model.layers.#.self_attn.q_proj.weight",
            "model.layers.#.mlp.gate_proj.weight",
        ),
        DECODER + "|lm_head.weight",
        (
            *("llama", "gemma", "qwen2", "qwen3", "LlamaForCausalLM", "GemmaForCausalLM"),
            *("Qwen2ForCausalLM", "Qwen3ForCausalLM"),
        ),
        TRANSFORMERS,
    ),
)
