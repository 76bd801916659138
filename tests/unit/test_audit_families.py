"""The audit names the family of every kind of checkpoint that it was written for."""

import json

import pytest

from fakes.checkpoint_files import (
    names,
    recorded,
    write_checkpoint,
    write_recorded,
    write_safetensors,
    write_shards,
)
from vertebra.audit.checkpoint import audit_checkpoint
from vertebra.audit.known import KNOWN
from vertebra.audit.layout import numberless

# Written down from what each of them is, not from what the audit says.
EXPECTED = {
    "policy_openpi_pi0": ("VLA", "pi0 "),
    "policy_openpi_pi05": ("VLA", "pi0.5"),
    "policy_lerobot_pi0": ("VLA", "pi0 "),
    "policy_lerobot_pi05": ("VLA", "pi0.5"),
    "policy_lerobot_pi0_fast": ("VLA", "pi0-FAST"),
    "policy_lerobot_smolvla": ("VLA", "SmolVLA"),
    "policy_openvla": ("VLA", "OpenVLA"),
    "policy_gr00t_n1_5": ("VLA", "GR00T N1.5"),
    "policy_gr00t_n1_6": ("VLA", "GR00T N1.6"),
    "policy_gr00t_n1_7": ("VLA", "GR00T N1.7"),
    "transformers_pi0": ("VLA", "pi0 "),
    "transformers_pi0_state_dict": ("VLA", "pi0 "),
    "policy_fastwam": ("WAM", "Fast-WAM"),
    "policy_lerobot_fastwam": ("WAM", "Fast-WAM"),
    "policy_lingbot_va": ("WAM", "LingBot-VA"),
    "policy_lerobot_lingbot_va": ("WAM", "LingBot-VA"),
    "policy_dreamzero": ("WAM", "DreamZero"),
    "policy_mimic_video_decoder": ("WAM", "mimic-video"),
    "policy_lerobot_vla_jepa": ("hybrid", "VLA-JEPA"),
    "diffusers_cosmos3_omni": ("hybrid", "Cosmos 3"),
    "policy_lerobot_act": ("neither", "ACT"),
    "policy_lerobot_diffusion": ("neither", "Diffusion Policy"),
    "policy_cosmos_action_conditioned": ("neither", "Cosmos-Predict2, action-conditioned"),
    "transformers_paligemma": ("neither", "PaliGemma"),
    "transformers_paligemma_state_dict": ("neither", "PaliGemma"),
    "transformers_smolvlm": ("neither", "SmolVLM2"),
    "transformers_idefics3": ("neither", "SmolVLM2 / Idefics3"),
    "transformers_qwen2_5_vl": ("neither", "Qwen2.5-VL"),
    "transformers_qwen2_5_vl_state_dict": ("neither", "Qwen2.5-VL"),
    "transformers_qwen3_vl": ("neither", "Qwen3-VL"),
    "transformers_gemma3": ("neither", "Gemma 3"),
    "transformers_gemma3_state_dict": ("neither", "Gemma 3"),
    "diffusers_wan_t2v": ("neither", "Wan video transformer"),
    "diffusers_wan_i2v": ("neither", "Wan video transformer"),
    "diffusers_cosmos": ("neither", "Cosmos video transformer"),
    "diffusers_cosmos_2_5": ("neither", "Cosmos video transformer"),
    "diffusers_ltx": ("neither", "LTX-Video"),
    "diffusers_svd_unet": ("neither", "Stable Video Diffusion"),
    "transformers_vjepa2": ("neither", "V-JEPA 2"),
    "diffusers_vae_wan_2_1": ("neither", "Wan video autoencoder"),
    "diffusers_vae_wan_2_2": ("neither", "Wan video autoencoder"),
    "diffusers_vae_ltx": ("neither", "LTX video autoencoder"),
    "diffusers_vae_image_kl": ("neither", "image autoencoder"),
    "original_wan": ("neither", "Wan video transformer (original"),
    "original_wan_vae_2_1": ("neither", "Wan video autoencoder (original"),
    "original_wan_vae_2_2": ("neither", "Wan video autoencoder (original"),
    "original_wan_text_encoder": ("neither", "UMT5 text encoder"),
    "transformers_t5": ("neither", "T5"),
    "transformers_t5_encoder": ("neither", "T5 text encoder"),
    "transformers_umt5_encoder": ("neither", "T5 text encoder"),
    "transformers_vit_classifier": ("neither", "image classifier"),
    "transformers_vit_classifier_state_dict": ("neither", "image classifier"),
    "transformers_clip": ("neither", "CLIP"),
    "transformers_siglip": ("neither", "SigLIP"),
    "transformers_dinov2": ("neither", "DINOv2"),
    "transformers_dinov2_state_dict": ("neither", "DINOv2"),
    "transformers_llama": ("neither", "language model"),
    # Its network has the tensors of the video model it was made from.
    "policy_cosmos_policy": ("cannot tell", ""),
    # Not among the kinds that the audit was written for.
    "diffusers_unet2d": ("cannot tell", ""),
}
TOLD_BY_CONFIGURATION = ("policy_lerobot_pi0_fast", "policy_openvla")
"""Actions are tokens of the language model: the weights are those of the VLM."""
POLICIES = [name for name, (family, _) in EXPECTED.items() if family in ("VLA", "WAM", "hybrid")]


def test_everything_recorded_has_an_expectation():
    assert sorted(EXPECTED) == names()


@pytest.mark.parametrize("name", EXPECTED)
def test_family_of_a_recorded_checkpoint(name, tmp_path):
    found = audit_checkpoint(write_recorded(tmp_path, name))
    family, layout = EXPECTED[name]
    assert found.family == family, found.headline
    assert found.layout.startswith(layout)
    assert bool(found.layout) == (family != "cannot tell")
    assert found.evidence


@pytest.mark.parametrize("name", EXPECTED)
def test_parts_count_every_parameter_once(name, tmp_path):
    shapes = recorded(name).tensors.values()
    found = audit_checkpoint(write_recorded(tmp_path, name))
    assert sum(part.tensors for part in found.parts) == len(shapes)
    assert sum(part.parameters for part in found.parts) == found.parameters
    assert sum(part.share for part in found.parts) == pytest.approx(1)


def test_a_bare_backbone_is_reported_as_such(tmp_path):
    found = audit_checkpoint(write_recorded(tmp_path, "transformers_paligemma"))
    assert found.headline == "Backbone only: PaliGemma (VLM), no action pathway found"


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "ema.deep.er."])
def test_a_prefix_changes_nothing(name, prefix, tmp_path):
    found = recorded(name)
    renamed = {prefix + key: shape for key, shape in found.tensors.items()}
    audit = audit_checkpoint(write_checkpoint(tmp_path, renamed, found.configuration))
    assert audit.family == EXPECTED[name][0], audit.headline


@pytest.mark.parametrize("name", POLICIES)
def test_without_its_configuration_weights_decide_or_nothing_does(name, tmp_path):
    found = audit_checkpoint(write_checkpoint(tmp_path, recorded(name).tensors))
    wanted = "neither" if name in TOLD_BY_CONFIGURATION else EXPECTED[name][0]
    assert found.family == wanted


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_in_shards_is_the_same_policy(name, tmp_path):
    found = recorded(name)
    write_shards(tmp_path, found.tensors, 3, index=True)
    (tmp_path / "config.json").write_text(json.dumps(dict(found.configuration) or {"x": 1}))
    for path in (tmp_path, tmp_path / "model-00002-of-00003.safetensors"):
        assert audit_checkpoint(path).family == EXPECTED[name][0]


@pytest.mark.parametrize("name", [n for n in POLICIES if n not in TOLD_BY_CONFIGURATION])
def test_each_mark_of_a_policy_is_needed(name, tmp_path):
    tensors = recorded(name).tensors
    audit = audit_checkpoint(write_checkpoint(tmp_path / "whole", tensors))
    layout = next(known for known in KNOWN if known.name == audit.layout)
    cited = [reason.says.partition(": ")[2].rpartition(", shape")[0] for reason in audit.evidence]
    marks = [numberless(key) for key in cited if key in tensors]
    assert len(marks) == len(layout.marks)
    for i, mark in enumerate(marks):
        kept = {key: shape for key, shape in tensors.items() if numberless(key) != mark}
        assert audit_checkpoint(write_checkpoint(tmp_path / str(i), kept)).layout != audit.layout


def test_a_policy_with_its_parts_in_other_folders(tmp_path):
    write_recorded(tmp_path / "transformer", "policy_lingbot_va")
    write_recorded(tmp_path / "vae", "diffusers_vae_wan_2_2")
    write_recorded(tmp_path / "text_encoder", "transformers_umt5_encoder")
    found = audit_checkpoint(tmp_path)
    assert found.family == "WAM"
    assert "beside it" in found.headline
    assert "Wan video autoencoder" in found.headline


def test_a_pipeline_without_actions_is_a_backbone(tmp_path):
    write_recorded(tmp_path / "transformer", "diffusers_wan_t2v")
    write_recorded(tmp_path / "vae", "diffusers_vae_wan_2_1")
    found = audit_checkpoint(tmp_path)
    assert found.family == "neither"
    assert found.headline.startswith("Backbone only: Wan")


def test_a_download_of_wan_is_a_backbone_with_its_parts(tmp_path):
    write_recorded(tmp_path, "original_wan")
    for name in ("original_wan_vae_2_2", "original_wan_text_encoder"):
        write_safetensors(tmp_path / f"{name}.safetensors", recorded(name).tensors)
    found = audit_checkpoint(tmp_path)
    assert found.family == "neither"
    assert found.headline.startswith("Backbone only: Wan (video model)")


def test_openvla_with_a_head_in_a_file_of_its_own(tmp_path):
    write_recorded(tmp_path, "policy_openvla")
    head = {"module.model.fc1.weight": [8, 16], "module.model.fc2.weight": [7, 8]}
    head |= {f"module.model.layer_norm{i}.weight": [8] for i in (1, 2)}
    head |= {"module.model.mlp_resnet_blocks.0.ffn.1.weight": [8, 8]}
    write_safetensors(tmp_path / "action_head--150000_checkpoint.safetensors", head)
    found = audit_checkpoint(tmp_path)
    assert found.family == "VLA"
    assert "action head of OpenVLA-OFT" in found.headline


def test_two_policies_in_one_folder_are_not_judged_as_one(tmp_path):
    write_recorded(tmp_path / "a", "policy_openpi_pi0")
    write_recorded(tmp_path / "b", "policy_fastwam")
    assert audit_checkpoint(tmp_path).family == "cannot tell"


def test_a_policy_beside_a_foreign_backbone_is_not_told(tmp_path):
    write_recorded(tmp_path / "a", "policy_openpi_pi0")
    write_recorded(tmp_path / "b", "diffusers_wan_t2v")
    assert audit_checkpoint(tmp_path).family == "cannot tell"


def test_cosmos_policy_is_told_by_its_statistics_of_actions(tmp_path):
    write_recorded(tmp_path, "policy_cosmos_policy")
    statistics = {"actions_min": [0.0] * 7, "actions_max": [1.0] * 7, "proprio_min": [0.0] * 9}
    (tmp_path / "libero_dataset_statistics.json").write_text(json.dumps(statistics))
    found = audit_checkpoint(tmp_path)
    assert (found.family, found.layout) == ("WAM", "Cosmos Policy")


def test_weights_beside_training_state(tmp_path):
    write_recorded(tmp_path, "policy_lerobot_act")
    write_safetensors(
        tmp_path / "training_state" / "optimizer_state.safetensors",
        {"state/0/exp_avg": [400, 400], "state/0/exp_avg_sq": [400, 400], "state/0/step": []},
    )
    assert audit_checkpoint(tmp_path).layout.startswith("ACT")
