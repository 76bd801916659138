"""FSDP2 over gloo and torch.compile, really run."""

import pytest
import torch

from vertebra.doctor import sharded, whole
from vertebra.doctor.finding import State

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")


def test_two_processes_give_what_one_gives():
    found = list(sharded.sharded(CPU))
    assert [one.state for one in found] == [State.OK, State.OK], found
    assert "gloo" in found[0].name
    assert set(found[0].figures) == {"loss", "gradients", "weights after a step"}
    assert found[1].figures["gradients"] > found[0].figures["gradients"]


def test_a_process_that_dies_is_a_failure(monkeypatch):
    monkeypatch.setattr(sharded.sys, "executable", "/bin/false")
    assert {one.state for one in sharded.sharded(CPU)} == {State.FAILED}


def test_a_short_training_lowers_its_loss():
    assert whole.training(CPU, 0.0).state is State.OK


def test_compiled_layers_are_examined(monkeypatch):
    monkeypatch.setattr(whole, "COMPILED", ("Gemma layer",))
    found = [one for one in whole.compiled(CPU) if one.name.startswith("torch.compile")]
    assert found
    assert {one.state for one in found} <= {State.OK, State.SKIPPED}, found
