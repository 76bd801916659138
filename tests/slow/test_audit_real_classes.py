"""Checkpoints that real library classes write today have the recorded names, and are told.

Each is built at random from its recorded tiny configuration. Skipped where the library is absent.
"""

import warnings

import pytest

from fakes.checkpoint_files import names, recorded
from vertebra.audit.checkpoint import audit_checkpoint
from vertebra.audit.checkpoint_files import open_checkpoint

pytestmark = pytest.mark.slow
WRITTEN = [name for name in names() if name.startswith(("transformers_", "diffusers_"))]


def build(name):
    """A model of the recorded class and configuration."""
    library = pytest.importorskip(name.partition("_")[0])
    configuration = dict(recorded(name).configuration)
    if library.__name__ == "diffusers":
        return getattr(library, configuration["_class_name"]).from_config(configuration)
    (kind,) = configuration["architectures"]
    model = getattr(library, kind)
    return model(model.config_class.from_dict(configuration))


def shapes(root):
    """Names and shapes that a folder holds."""
    bundles = open_checkpoint(root).bundles
    return {tensor.name: tensor.shape for bundle in bundles for tensor in bundle.tensors}


@pytest.mark.parametrize("name", WRITTEN)
def test_real_class_writes_the_recorded_names_and_is_told(name, tmp_path):
    with warnings.catch_warnings():
        # Both libraries warn of their own affairs at import and when they write.
        warnings.simplefilter("ignore")
        model = build(name)
        model.save_pretrained(tmp_path / "saved")
    known = {key: tuple(shape) for key, shape in recorded(name).tensors.items()}
    if name.endswith("_state_dict"):
        written = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        # Names of tied weights are in memory and in no file.
        assert known.items() <= written.items()
        return
    assert shapes(tmp_path / "saved") == known
    found = audit_checkpoint(tmp_path / "saved")
    wanted = {"transformers_pi0": "VLA", "diffusers_cosmos3_omni": "hybrid"}
    expected = "cannot tell" if name == "diffusers_unet2d" else wanted.get(name, "neither")
    assert found.family == expected, found.headline
