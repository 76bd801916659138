"""The doctor: nothing is ok that did not run, and what is broken is found."""

import json

import pytest
import torch
from torch import nn

from vertebra.cli.entry import run
from vertebra.doctor import examine as examination
from vertebra.doctor import kernels, whole
from vertebra.doctor.finding import (
    Finding,
    State,
    Unavailable,
    compared,
    counts,
    examined,
    skipped,
)

CPU = torch.device("cpu")


def test_what_cannot_run_is_skipped_with_its_reason():
    def examine():
        raise Unavailable("no such kernel")

    found = examined("kernel", examine)
    assert (found.state, found.words) == (State.SKIPPED, "no such kernel")


def test_an_error_is_a_finding():
    def examine():
        raise RuntimeError("out of\n  memory")

    found = examined("kernel", examine)
    assert found.state is State.FAILED
    assert found.words == "RuntimeError: out of memory"


@pytest.mark.parametrize(
    ("figure", "state"),
    [
        (0.01, State.OK),
        (0.2, State.DIFFERS),
        (float("nan"), State.DIFFERS),
        (float("inf"), State.DIFFERS),
    ],
)
def test_only_what_is_within_the_tolerance_is_ok(figure, state):
    assert compared({"output": 0.0, "gradients": figure}, 0.1)[0] is state


def test_nothing_compared_is_not_ok():
    assert examined("kernel", lambda: compared({}, 0.1)).state is State.FAILED


def test_all_probes_agree_in_bf16_here():
    found = list(kernels.kernels(CPU))
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    wrong = [one for one in found if one.state in (State.DIFFERS, State.FAILED)]
    assert not wrong, wrong
    ran = {one.name for one in found if one.state is State.OK}
    assert {"attention, masked, bf16", "Wan layer, bf16", "flow solver, bf16"} <= ran
    assert "kernels, float32" in {one.name for one in found if one.state is State.SKIPPED}
    assert all(max(one.figures.values()) > 0 for one in found if one.state is State.OK)


class Crooked(nn.Linear):
    """A layer that is right in float32 only."""

    def forward(self, input):  # noqa: A002 - torch's word
        wrong = 1.2 if input.dtype is torch.bfloat16 else 1.0
        return super().forward(input) * wrong


def test_a_kernel_that_is_wrong_in_bf16_is_found():
    probe = kernels.Probe(name="crooked", make=lambda: (Crooked(8, 8), (torch.randn(2, 8),)))
    figures = kernels.differences(probe, CPU, torch.bfloat16)
    assert compared(figures, kernels.TOLERANCES[torch.bfloat16])[0] is State.DIFFERS
    exact = kernels.differences(probe, CPU, torch.float32)
    assert exact == {"output": 0.0, "gradients": 0.0}


def test_a_recipe_that_is_wrong_in_bf16_is_found(monkeypatch):
    monkeypatch.setattr(whole, "RECIPES", ("fast-wam",))
    assert [one.state for one in whole.recipes_on(CPU)] == [State.OK]
    right = whole.step_loss

    def wrong(network, device, *, seed, count):
        factor = 1.5 if torch.is_autocast_enabled("cpu") else 1.0
        return factor * right(network, device, seed=seed, count=count)

    monkeypatch.setattr(whole, "step_loss", wrong)
    assert [one.state for one in whole.recipes_on(CPU)] == [State.DIFFERS]


def test_graphs_are_skipped_without_cuda(monkeypatch):
    monkeypatch.setattr(whole, "_compiler", lambda: False)
    found = list(whole.compiled(CPU))
    assert {one.state for one in found} == {State.SKIPPED}
    assert {one.words for one in found} == {
        "no C++ compiler was found (set CXX, or install g++)",
        "CUDA graphs need a CUDA device",
    }


def test_a_training_whose_loss_does_not_fall_differs(monkeypatch):
    monkeypatch.setattr(whole, "CHECKED_STEPS", 2)
    monkeypatch.setattr(whole.Optimiser, "step", lambda self, step: None)
    assert whole.training(CPU, 0.0).state is State.DIFFERS


def only(*findings):
    """An examination that finds just that."""
    return lambda **how: iter(findings)


def test_the_command_writes_what_it_found(tmp_path, monkeypatch, capsys):
    found = (
        Finding(name="a", state=State.OK, figures={"output": 0.0}),
        skipped("GPU", "torch finds no CUDA device"),
    )
    monkeypatch.setattr(examination, "_all", only(*found))
    out = tmp_path / "doctor.json"
    assert run(["doctor", "--gpus", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "1 work, 0 differ, 0 failed, 1 were skipped: the CPU was, and no GPU was," in printed
    plain = json.loads(out.read_text())
    assert plain["counts"] == {"ok": 1, "differs": 0, "failed": 0, "skipped": 1}
    assert [one["state"] for one in plain["findings"]] == ["ok", "skipped"]
    assert plain["libraries"]["torch"] == torch.__version__


@pytest.mark.parametrize("state", [State.DIFFERS, State.FAILED])
def test_the_command_ends_with_one_when_something_is_wrong(tmp_path, monkeypatch, state):
    monkeypatch.setattr(examination, "_all", only(Finding(name="a", state=state)))
    assert run(["doctor", "--json", "--out", str(tmp_path / "found.json")]) == 1


def test_negative_seconds_are_refused(capsys):
    assert run(["doctor", "--seconds", "-1"]) == 2
    assert "give 0 or more" in capsys.readouterr().err


def test_without_gpus_it_says_so_first(monkeypatch):
    for name in ("kernels", "recipes_on", "sharded"):
        monkeypatch.setattr(examination, name, lambda device: iter(()))
    monkeypatch.setattr(examination, "PIECE", 2**20)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = []
    found = examination.examine(gpus=True, seconds=0, compiling=False, on_finding=told.append)
    assert tuple(told) == found
    states = {one.name: one.state for one in found}
    assert states == {
        "GPU": State.SKIPPED,
        "torch.compile": State.SKIPPED,
        "memory": State.OK,
        "training": State.SKIPPED,
    }
    assert counts(found)["ok"] == 1
