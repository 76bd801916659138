"""Checkpoints that look like something else: the audit says the truth or that it cannot tell."""

import json
import os
import struct

import pytest

from fakes.checkpoint_files import (
    recorded,
    write_checkpoint,
    write_recorded,
    write_safetensors,
    write_shards,
)
from vertebra.audit.checkpoint import audit_checkpoint
from vertebra.audit.safetensors_header import LONGEST_HEADER

PI0 = recorded("policy_lerobot_pi0").tensors
VLM = recorded("transformers_paligemma").tensors
SETTINGS = recorded("policy_lerobot_pi0").configuration


def family(root):
    return audit_checkpoint(root).family


def test_renamed_keys(tmp_path):
    renamed = {f"net.w{i}": shape for i, shape in enumerate(PI0.values())}
    assert family(write_checkpoint(tmp_path, renamed, SETTINGS)) == "cannot tell"


@pytest.mark.parametrize("word", ["action_out_proj", "gemma_expert", "state_proj", "vision_tower"])
def test_partly_renamed_keys_are_a_resemblance(word, tmp_path):
    renamed = {key.replace(word, "part"): shape for key, shape in PI0.items()}
    found = audit_checkpoint(write_checkpoint(tmp_path, renamed))
    assert found.family == "cannot tell"
    assert any("resembles pi0" in reason.says for reason in found.evidence)


def test_merged_adapters_leave_an_ordinary_policy(tmp_path):
    write_checkpoint(tmp_path, PI0, {**SETTINGS, "use_peft": True})
    assert family(tmp_path) == "VLA"


def with_adapters(tensors):
    found = {}
    for key, shape in tensors.items():
        if key.endswith("q_proj.weight"):
            stem = "base_model.model." + key.removesuffix(".weight")
            found[stem + ".lora_A.default.weight"] = [2, shape[1]]
            found[stem + ".lora_B.default.weight"] = [shape[0], 2]
    return found


def test_adapters_alone(tmp_path):
    write_checkpoint(tmp_path, with_adapters(PI0), name="adapter_model.safetensors")
    told = {"base_model_name_or_path": "lerobot/pi0", "peft_type": "LORA", "r": 2}
    (tmp_path / "adapter_config.json").write_text(json.dumps(told))
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert "adapters" in found.headline
    assert any("lerobot/pi0" in fact.value for fact in found.facts)


def test_unmerged_adapters_beside_their_model(tmp_path):
    wrapped = {
        "base_model.model." + key.replace("q_proj.weight", "q_proj.base_layer.weight"): shape
        for key, shape in PI0.items()
    }
    found = audit_checkpoint(write_checkpoint(tmp_path, {**wrapped, **with_adapters(PI0)}))
    assert found.family == "VLA"
    assert "Adapters are not merged" in {p.name for p in found.pitfalls if p.found}


def test_one_of_three_shards_without_an_index(tmp_path):
    write_shards(tmp_path, PI0, 3, index=False)
    (tmp_path / "model-00001-of-00003.safetensors").unlink()
    (tmp_path / "model-00003-of-00003.safetensors").unlink()
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert any("model-00003-of-00003" in reason.says for reason in found.evidence)


def test_missing_shards_named_by_an_index(tmp_path):
    write_shards(tmp_path, PI0, 3, index=True)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    found = audit_checkpoint(tmp_path)
    assert found.family in ("VLA", "cannot tell")
    assert any("missing: model-00002" in reason.says for reason in found.evidence)


def test_an_index_without_weights(tmp_path):
    write_shards(tmp_path, PI0, 2, index=True)
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert "index" in found.headline


@pytest.mark.parametrize(
    ("weights", "settings"),
    [
        ("diffusers_wan_t2v", SETTINGS),
        ("transformers_paligemma", SETTINGS),
        ("policy_fastwam", SETTINGS),
        ("policy_lerobot_pi0", {"type": "fastwam"}),
        ("transformers_t5", {"model_type": "paligemma"}),
    ],
)
def test_configuration_against_weights(weights, settings, tmp_path):
    found = audit_checkpoint(write_checkpoint(tmp_path, recorded(weights).tensors, settings))
    assert found.family == "cannot tell"
    assert "contradict" in found.headline


def test_sizes_against_the_configuration_are_named(tmp_path):
    write_checkpoint(tmp_path, PI0, {**SETTINGS, "max_action_dim": 32})
    found = audit_checkpoint(tmp_path)
    assert found.family == "VLA"
    (wrong,) = [p for p in found.pitfalls if p.name == "Configuration and weights differ in size"]
    assert "max_action_dim = 32, the weights 6" in wrong.because


@pytest.mark.parametrize(
    "stray",
    [
        "model.action_type_embedding.weight",
        "action_head.weight",
        "action_in_proj.weight",
        "vision_tower.encoder.layers.0.action_gate",
        "language_model.model.layers.0.action_adapter.weight",
    ],
)
def test_a_vlm_with_an_unrelated_tensor_called_action(stray, tmp_path):
    found = audit_checkpoint(write_checkpoint(tmp_path, {**VLM, stray: [3, 16]}))
    assert found.family == "cannot tell"
    assert stray.rpartition(".")[0].rpartition(".")[2].strip("0123456789") in found.headline


def test_marks_of_a_policy_with_shapes_that_do_not_fit(tmp_path):
    wrong = {
        key: ([5, 7] if key.endswith("action_out_proj.weight") else s) for key, s in PI0.items()
    }
    assert family(write_checkpoint(tmp_path, wrong)) == "cannot tell"


def test_a_policy_with_much_more_inside(tmp_path):
    future = {f"future_expert.layers.{i}.weight": [40, 40] for i in range(4)}
    found = audit_checkpoint(write_checkpoint(tmp_path, {**PI0, **future}))
    assert found.family == "cannot tell"
    assert "nothing known of pi0" in found.headline


def test_a_backbone_with_statistics_of_actions_may_write_tokens(tmp_path):
    write_recorded(tmp_path, "transformers_paligemma")
    table = {"norm_stats": {"actions": {"q01": [0.0], "q99": [1.0], "mean": [0.5], "std": [0.1]}}}
    (tmp_path / "norm_stats.json").write_text(json.dumps(table))
    assert family(tmp_path) == "cannot tell"


def test_a_backbone_under_an_unknown_class_is_not_called_bare(tmp_path):
    write_checkpoint(tmp_path, VLM, {"architectures": ["TokenActionsForRobots"]})
    assert family(tmp_path) == "cannot tell"


def test_only_a_video_autoencoder(tmp_path):
    found = audit_checkpoint(write_recorded(tmp_path, "diffusers_vae_wan_2_1"))
    assert found.family == "neither"
    assert found.headline.startswith("One part only")


def test_only_the_state_of_an_optimiser(tmp_path):
    state = {f"state/{i}/{kind}": [4, 4] for i in range(9) for kind in ("exp_avg", "exp_avg_sq")}
    found = audit_checkpoint(write_checkpoint(tmp_path, state))
    assert found.family == "cannot tell"
    assert "optimiser" in found.headline


def test_an_empty_folder_and_an_empty_file(tmp_path):
    assert family(tmp_path) == "cannot tell"
    (tmp_path / "model.safetensors").touch()
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert "0 bytes" in found.headline


def test_no_tensor_at_all(tmp_path):
    assert family(write_checkpoint(tmp_path, {})) == "cannot tell"


@pytest.mark.parametrize("kept", [4, 8, 100, 4000])
def test_truncated_header(kept, tmp_path):
    path = write_safetensors(tmp_path / "model.safetensors", PI0)
    path.write_bytes(path.read_bytes()[:kept])
    assert family(tmp_path) == "cannot tell"


def test_truncated_numbers_leave_the_family_and_name_the_damage(tmp_path):
    path = write_safetensors(tmp_path / "model.safetensors", PI0)
    path.write_bytes(path.read_bytes()[:-1000])
    found = audit_checkpoint(tmp_path)
    assert found.family == "VLA"
    assert any("cut off" in p.because for p in found.pitfalls if p.found)


@pytest.mark.parametrize("length", [LONGEST_HEADER + 1, 2**63, 2**64 - 1])
def test_huge_header_length(length, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}" * 100)
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert "header claims" in found.headline


def test_tensors_that_share_their_bytes_are_damage(tmp_path):
    path = write_safetensors(tmp_path / "model.safetensors", PI0)
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    first, second = list(header)[:2]
    header[second] = dict(header[first])
    changed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])
    assert "overlap" in audit_checkpoint(tmp_path).files[0].faults[0]


@pytest.mark.parametrize("suffix", [".bin", ".safetensors", ".pt", ".ckpt"])
def test_random_bytes(suffix, tmp_path):
    (tmp_path / f"model{suffix}").write_bytes(os.urandom(4096))
    assert family(tmp_path) == "cannot tell"


@pytest.mark.parametrize(
    "header",
    [
        b"[1, 2]",
        b'{"a": 3}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": "x", "data_offsets": [0]}}',
        b"\xff\xfe{}",
        b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "a": {}}',
        b"[" * 50_000,
    ],
)
def test_headers_of_nonsense(header, tmp_path):
    content = struct.pack("<Q", len(header)) + header
    (tmp_path / "model.safetensors").write_bytes(content)
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert found.files[0].faults


def test_an_index_that_points_outside_reads_nothing_there(tmp_path):
    secret = write_safetensors(tmp_path / "secret.safetensors", PI0)
    table = {"weight_map": dict.fromkeys(PI0, "../secret.safetensors")}
    root = tmp_path / "given"
    root.mkdir()
    (root / "model.safetensors.index.json").write_text(json.dumps(table))
    found = audit_checkpoint(root)
    assert found.family == "cannot tell"
    assert secret.name not in {file.path for file in found.files}


def test_documents_of_nonsense(tmp_path):
    write_checkpoint(tmp_path, PI0)
    (tmp_path / "config.json").write_text("{not json")
    (tmp_path / "dataset_stats.json").write_text("[" * 100_000)
    found = audit_checkpoint(tmp_path)
    assert found.family == "VLA"
    assert {file.path for file in found.files if file.form == "document"} == {
        "config.json",
        "dataset_stats.json",
    }


def test_nothing_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        audit_checkpoint(tmp_path / "absent")
