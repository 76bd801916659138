"""Files of torch.save are read without unpickling: names and shapes right, bombs inert."""

import collections
import io
import os
import pickle
import struct
import zipfile

import pytest
import torch

from fakes.checkpoint_files import recorded
from vertebra.audit.checkpoint import audit_checkpoint
from vertebra.audit.checkpoint_files import read_weights
from vertebra.audit.pickle_trace import follow_pickle


def state(name):
    return {key: torch.zeros(*shape) for key, shape in recorded(name).tensors.items()}


@pytest.fixture(params=[True, False], ids=["zip archive", "old file"])
def save(request):
    def write(value, path):
        torch.save(value, path, _use_new_zipfile_serialization=request.param)

    return write


def test_names_and_shapes_are_those_of_torch(save, tmp_path):
    tensors = {
        "a.weight": torch.zeros(3, 4, dtype=torch.bfloat16),
        "b": torch.zeros(()),
        "view": torch.zeros(6, 6)[::2, 1:3],
        "int": torch.zeros(5, dtype=torch.int64),
        "parameter": torch.nn.Parameter(torch.zeros(2, 2)),
    }
    path = tmp_path / "model.pt"
    save(collections.OrderedDict(tensors), path)
    found = read_weights(path)
    assert {t.name: t.shape for t in found.tensors} == {
        k: tuple(v.shape) for k, v in tensors.items()
    }
    assert {t.name: t.kind for t in found.tensors}["a.weight"] == "BFloat16"
    assert found.faults == ()
    assert found.calls == ()


def test_nested_dictionaries_become_dotted_names(save, tmp_path):
    mot = {
        key.removeprefix("mot."): v for key, v in state("policy_fastwam").items() if "mot" in key
    }
    proprio = {"weight": torch.zeros(8, 8), "bias": torch.zeros(8)}
    content = {"mot": mot, "step": 7, "torch_dtype": "torch.bfloat16", "proprio_encoder": proprio}
    save(content, tmp_path / "step_7.pt")
    found = audit_checkpoint(tmp_path / "step_7.pt")
    assert (found.family, found.layout) == ("WAM", "Fast-WAM (original, LeRobot)")


def test_weights_beside_their_optimiser_in_one_file(save, tmp_path):
    policy = state("policy_openpi_pi0")
    moments = {i: {"exp_avg": v, "exp_avg_sq": v} for i, v in enumerate(policy.values())}
    save({"model": policy, "optimizer": {"state": moments}}, tmp_path / "last.ckpt")
    found = audit_checkpoint(tmp_path)
    assert found.family == "VLA"
    assert "state of an optimiser" in {part.part for part in found.parts}


def test_an_optimiser_alone(save, tmp_path):
    model = torch.nn.Linear(3, 3)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 3)).sum().backward()
    optimiser.step()
    save(optimiser.state_dict(), tmp_path / "optimizer.pt")
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert "optimiser" in found.headline


def test_a_whole_pickled_module_is_named_and_not_built(save, tmp_path):
    save(torch.nn.Sequential(torch.nn.Linear(3, 4)), tmp_path / "model.pt")
    found = read_weights(tmp_path / "model.pt")
    assert {t.name: t.shape for t in found.tensors} == {"0.weight": (4, 3), "0.bias": (4,)}


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_bomb_stays_inert(protocol, tmp_path):
    target = tmp_path / "went_off"
    pickle.loads(pickle.dumps(Bomb(tmp_path / "proof"), protocol=protocol))  # noqa: S301
    assert (tmp_path / "proof").exists(), "the bomb of this test is no bomb"
    bomb = pickle.dumps({"a": Bomb(target)}, protocol=protocol)
    root = tmp_path / "given"
    root.mkdir()
    with zipfile.ZipFile(root / "model.pt", "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
        archive.writestr("archive/version", "3\n")
    (root / "pytorch_model.bin").write_bytes(bomb)
    (root / "rng_state.pth").write_bytes(bomb)
    (root / "other.pkl").write_bytes(bomb)
    found = audit_checkpoint(root)
    assert not target.exists()
    assert found.family == "cannot tell"
    (warning,) = [p for p in found.pitfalls if p.name == "Loading it runs code"]
    assert "system" in warning.because


def test_a_bomb_among_weights_is_named_beside_the_family(save, tmp_path):
    target = tmp_path / "went_off"
    save({**state("policy_openpi_pi0"), "config": Bomb(target)}, tmp_path / "model.pt")
    found = audit_checkpoint(tmp_path / "model.pt")
    assert not target.exists()
    assert found.family == "VLA"
    assert found.pitfalls[0].name == "Loading it runs code"


def test_a_nested_load_is_no_harmless_call(tmp_path):
    inner = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, inner)
    content = pickle.dumps({"w": Nested(inner.getvalue())})
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("a/data.pkl", content)
    assert "torch.storage._load_from_bytes" in read_weights(tmp_path / "model.pt").calls


class Nested:
    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.content,)


def test_truncated_archives_and_pickles_are_faults(save, tmp_path):
    save({"w": torch.zeros(40, 40)}, tmp_path / "whole.pt")
    content = (tmp_path / "whole.pt").read_bytes()
    for cut in (30, 200, len(content) // 2):
        (tmp_path / "cut.pt").write_bytes(content[:cut])
        found = read_weights(tmp_path / "cut.pt")
        assert found.faults or found.tensors


def test_numbers_missing_in_an_archive_are_named(tmp_path):
    torch.save({"w": torch.zeros(40, 40)}, tmp_path / "whole.pt")
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "part.pt", "w") as part,
    ):
        for item in whole.namelist():
            if not item.endswith("data/0"):
                part.writestr(item, whole.read(item))
    assert "not in the archive" in read_weights(tmp_path / "part.pt").faults[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04}s.",
        b"\x80\x04" + b"h\x07.",
        b"\x80\x04R.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"x.",
        b"\x80\x04" + b"]" * 10 + b"\x82\x01.",
    ],
)
def test_pickles_of_nonsense_are_refused(content):
    with pytest.raises(ValueError, match=r"."):
        follow_pickle(io.BytesIO(content))


def test_a_dictionary_that_holds_itself_comes_to_an_end(tmp_path):
    loop = {}
    loop["loop"] = loop
    layers = [loop]
    for _ in range(60):
        layers = [layers, layers]
    loop["layers"] = layers
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(loop))
    assert read_weights(tmp_path / "model.pt").tensors == ()
