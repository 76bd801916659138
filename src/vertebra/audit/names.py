"""Names inside the parts that many checkpoints share, in the language of `audit/layout.py`."""

TRANSFORMERS = "transformers 5.23, written by save_pretrained"
DIFFUSERS = "diffusers 0.42, written by save_pretrained"
"""Where names are from that the libraries themselves write."""
AFFINE = "{weight|bias}"
DECODER = (
    "{model.|}{embed_tokens|norm|layers.#.{input|post_attention|pre_feedforward|post_feedforward}"
    "_layernorm|layers.#.self_attn.{{q|k|v|o}_proj|{q|k}_norm}|layers.#.mlp.{gate|up|down}_proj}."
    + AFFINE
)
"""A decoder of the Llama kind: Gemma, Llama, Qwen 2 and 3."""
ADAPTIVE_DECODER = (
    "{model.|}{norm|layers.#.{input|post_attention}_layernorm|layers.#.self_attn.{q|k|v|o}_proj"
    "|layers.#.mlp.{gate|up|down}_proj}.{weight|bias|dense.weight|dense.bias}"
)
"""The same with norms that the flow time may shift (`dense`)."""
SIGLIP = (
    "{vision_model.|}{embeddings.{patch|position}_embedding.{weight|bias}|{encoder.layers.#."
    "{layer_norm1|layer_norm2|mlp.fc1|mlp.fc2|self_attn.{q_proj|k_proj|v_proj|out_proj}}"
    "|post_layernorm}.{weight|bias}|head.*}"
)
"""A SigLIP image encoder."""
QWEN_2_5_VISION = (
    "{patch_embed.proj|blocks.#.{attn.{qkv|proj}|mlp.{gate|up|down}_proj|norm1|norm2}"
    "|merger.{ln_q|mlp.#}}.{weight|bias}"
)
QWEN_3_VISION = (
    "{patch_embed.proj|pos_embed|blocks.#.{attn.{qkv|proj}|mlp.linear_{fc1|fc2}|norm1|norm2}"
    "|{merger|deepstack_merger_list.#}.{linear_fc1|linear_fc2|norm}}.{weight|bias}"
)
WAN_BLOCK = (
    "{modulation|{self_attn|cross_attn}.{{q|k|v|o}.{weight|bias}|{norm_q|norm_k}.weight"
    "|{k_img|v_img}.{weight|bias}|norm_k_img.weight}|{norm3|ffn.#}.{weight|bias}}"
)
"""One block under the names of Wan's own code."""
WAN_EDGES = (
    "{patch_embedding|text_embedding.#|time_embedding.#|time_projection.#}.{weight|bias}"
    "|head.{modulation|head.weight|head.bias}|img_emb.proj.#.{weight|bias}|img_emb.emb_pos"
)
WAN_DIFFUSERS_BLOCK = (
    "{scale_shift_table|{attn1|attn2}.{{to_q|to_k|to_v|add_k_proj|add_v_proj|to_out.#}"
    ".{weight|bias}|{norm_q|norm_k|norm_added_k}.weight}|norm2.{weight|bias}"
    "|ffn.net.#.{proj.weight|proj.bias|weight|bias}}"
)
"""One block under the names of diffusers."""
COSMOS_NETWORK = (
    "{x_embedder.proj.#.weight|pos_embedder.{seq|dim_spatial_range|dim_temporal_range}"
    "|extra_pos_embedder.*|t_embedder.#.linear_{1|2}.weight|t_embedding_norm.weight"
    "|t_embedding_norm._extra_state|crossattn_proj.#.{weight|bias}|img_context_proj.#.{weight|bias}"
    "|blocks.#.{self_attn|cross_attn}.{{q|k|v|output}_proj.weight|{q|k}_norm.{weight|_extra_state}"
    "|attn_op._extra_state}|blocks.#.mlp.layer{1|2}.weight"
    "|blocks.#.adaln_modulation_{self_attn|cross_attn|mlp}.#.weight"
    "|final_layer.linear.weight|final_layer.adaln_modulation.#.weight"
    "|accum_{video_sample_counter|image_sample_counter|iteration|train_in_hours}}"
)
"""NVIDIA's own names of the Cosmos-Predict2 network."""
GROOT_HEAD = (
    "{model.timestep_encoder.timestep_embedder.linear_{1|2}"
    "|{model|vl_self_attention}.transformer_blocks.#.{norm1|norm3|norm1.linear|attn1.{to_q|to_k"
    "|to_v|to_out.#}|ff.net.#|ff.net.#.proj}|model.proj_out_{1|2}|vlln|position_embedding"
    "|future_tokens}.{weight|bias}"
)
GROOT_EMBODIMENT = (
    "{state_encoder.{layer1|layer2}|action_encoder.{W1|W2|W3}|action_decoder.{layer1|layer2}}"
    ".{W|b}|mask_token"
)
