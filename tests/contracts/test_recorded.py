"""The transcribed tables, and our noise, agree with what original functions gave."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vertebra.coupling.visibility import pair_mask
from vertebra.flow.grids import steps_of
from vertebra.flow.noise_levels import sigma_of_time
from vertebra.flow.times import draw_times
from vertebra.flow.weights import weight_at
from vertebra.nn.embeddings import sinusoid
from vertebra.spec.noise import (
    Bell,
    BetaTimes,
    Grid,
    KarrasGrid,
    LogNormalSigma,
    ShiftedGrid,
    ShiftedUniform,
    Times,
)
from vertebra.spec.streams import Reach

HERE = Path(__file__).parent
SYSTEMS: dict[str, Any] = json.loads((HERE / "expected_visibility.json").read_text())["systems"]
PROVENANCE: dict[str, Any] = json.loads((HERE / "recorded/provenance.json").read_text())["files"]

Token = tuple[str, int]
"""Name of the stream and chunk time of one token."""


def recorded(name: str) -> Any:
    return json.loads((HERE / "recorded" / f"{name}.json").read_text())


def matrix(rows: Sequence[str]) -> np.ndarray:
    return np.array([[cell == "1" for cell in row] for row in rows])


def table_mask(system: str, tokens: Sequence[Token]) -> np.ndarray:
    """The mask that the transcribed rows of a system give over these tokens."""
    reaches = {
        (query, cell["key"]): Reach(cell["reach"].lower())
        for query, row in SYSTEMS[system]["sees"].items()
        for cell in row
    }
    sees = np.zeros((len(tokens), len(tokens)), dtype=bool)
    for i, (query, at) in enumerate(tokens):
        for j, (key, other) in enumerate(tokens):
            if (query, key) in reaches:
                seen = pair_mask(reaches[query, key], np.array([at]), np.array([other]))
                sees[i, j] = seen.item()
    return sees


def merged(mask: np.ndarray, copies: Sequence[int]) -> np.ndarray:
    """A mask in which tokens that are copies of an earlier one (``copies``) are that one token."""
    size = max(copies) + 1
    one_hot = np.zeros((size, len(copies)), dtype=int)
    one_hot[list(copies), range(len(copies))] = 1
    return one_hot @ mask.astype(int) @ one_hot.T > 0


def of(counts: Sequence[tuple[str, int]]) -> list[Token]:
    return [(name, 0) for name, count in counts for _ in range(count)]


def over(name: str, chunks: Sequence[int]) -> list[Token]:
    return [(name, chunk) for chunk in chunks]


def test_every_recording_has_its_provenance() -> None:
    files = {path.stem for path in (HERE / "recorded").glob("*.json")} - {"provenance"}
    assert set(PROVENANCE) == files
    for entry in PROVENANCE.values():
        assert {"repository", "commit", "licence", "functions", "run"} == set(entry)
        assert not any(word in entry["repository"].lower() for word in ("openwam", "flow_matching"))


@pytest.mark.parametrize("name", ["pi0", "pi05"])
def test_blocks_of_openpi(name: str) -> None:
    case = recorded("openpi")[name]
    counts = [(stream, case[stream]) for stream in ("image", "text", "state", "action")]
    padded = case["image"] + case["text"] - 1
    mask = matrix(case["mask"])
    assert not mask[padded].any()
    assert not mask[:, padded].any()
    mask = np.delete(np.delete(mask, padded, axis=0), padded, axis=1)
    counts[1] = ("text", case["text"] - case["padded_text_last"])
    np.testing.assert_array_equal(table_mask(name, of(counts)), mask)


@pytest.mark.parametrize("name", ["fast-wam", "fast-wam-joint"])
def test_masks_of_fast_wam(name: str) -> None:
    tokens = of([("frame", 2), ("future", 4), ("action", 4)])
    np.testing.assert_array_equal(
        table_mask(name, tokens), matrix(recorded("fastwam")["masks"][name])
    )


def test_teacher_forcing_mask_of_fast_wam() -> None:
    tokens = of([("frame", 2), ("future", 4), ("clean_future", 4), ("action", 4)])
    copies = [0, 1, 2, 3, 4, 5, 0, 1, 6, 7, 8, 9, 10, 11, 12, 13]
    mask = merged(matrix(recorded("fastwam")["masks"]["fast-wam-idm"]), copies)
    np.testing.assert_array_equal(table_mask("fast-wam-idm", tokens), mask)


@pytest.mark.parametrize("case", ["small", "one_frame_blocks"])
@pytest.mark.parametrize("name", ["dreamzero", "dreamzero-flash"])
def test_teacher_forcing_mask_of_dreamzero(name: str, case: str) -> None:
    made = recorded("dreamzero")["masks"][case]
    per, blocks = made["tokens_a_frame"], (made["frames"] - 1) // made["frames_a_block"]

    def chunks(count: int) -> list[int]:
        return [block for block in range(blocks) for _ in range(count)]

    video = chunks(per * made["frames_a_block"])
    tokens = [
        *over("frame", [0] * per),
        *over("clean_future", video),
        *over("future", video),
        *over("action", chunks(made["actions_a_block"])),
        *over("state", chunks(made["states_a_block"])),
    ]
    first = list(range(per))
    clean = list(range(per, per + len(video)))
    rest = list(range(per + len(video), len(tokens)))
    mask = merged(matrix(made["mask"]), [*first, *clean, *first, *rest])
    np.testing.assert_array_equal(table_mask(name, tokens), mask)


@pytest.mark.parametrize("case", ["small", "single", "windowed"])
@pytest.mark.parametrize("name", ["lingbot-va", "lingbot-va-shared", "lingbot-va-async"])
def test_interleaved_mask_of_lingbot_va(name: str, case: str) -> None:
    made = recorded("lingbot_va")["masks"][case]
    frames = range(made["frames"])
    video = [f // made["chunk"] for f in frames for _ in range(made["tokens_a_frame"])]
    action = [f // made["chunk"] for f in frames for _ in range(made["actions_a_frame"])]
    tokens = [
        *over("future", video),
        *over("clean_future", video),
        *over("action", action),
        *over("clean_action", action),
    ]
    block = np.array([2 * chunk + name.endswith("action") for name, chunk in tokens])
    near = np.abs(block[:, None] - block[None, :]) <= made["window"]
    np.testing.assert_array_equal(table_mask(name, tokens) & near, matrix(made["mask"]))


@pytest.mark.parametrize(
    ("times", "noise_is_late", "drawn"),
    [
        (BetaTimes(a=1.5, b=1.0, scale=0.999), True, recorded("openpi")["time"]),
        (ShiftedUniform(shift=5.0), True, recorded("fastwam")["noise"]["training_timestep"]),
        (BetaTimes(a=1.5, b=1.0, scale=0.999), False, recorded("gr00t")["time"]),
    ],
    ids=["openpi", "fastwam", "gr00t"],
)
def test_times_are_drawn_like_the_originals(
    times: Times, noise_is_late: bool, drawn: dict[str, Any]
) -> None:
    ours = draw_times(times, 200_000, torch.Generator().manual_seed(1)).double().numpy()
    theirs = np.array(drawn["quantiles"]) / (1000.0 if max(drawn["quantiles"]) > 1.0 else 1.0)
    found = np.quantile(1.0 - ours if noise_is_late else ours, drawn["probabilities"])
    np.testing.assert_allclose(found, theirs, atol=0.004)


def test_sigmas_are_drawn_like_those_of_cosmos_policy() -> None:
    times = LogNormalSigma(mean=1.3862943611198906, std=1.2, uniform_share=0.3, low=1.0, high=85.0)
    ours = draw_times(times, 200_000, torch.Generator().manual_seed(1))
    drawn = recorded("cosmos_policy")["sigma"]
    found = np.quantile(sigma_of_time(ours.double()).numpy(), drawn["probabilities"])
    np.testing.assert_allclose(found, drawn["quantiles"], rtol=0.03)


def test_bell_weights_are_those_of_three_repositories() -> None:
    cases = [recorded("fastwam")["noise"]["weight"]]
    cases += [recorded(name)["noise"]["training"] for name in ("lingbot_va", "dreamzero")]
    for case in cases:
        level = torch.tensor(case["timestep"], dtype=torch.float64) / 1000.0
        ours = weight_at(Bell(shift=5.0), 1.0 - level).numpy()
        np.testing.assert_allclose(ours, case["weight"], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    ("grid", "levels"),
    [
        (ShiftedGrid(shift=5.0), recorded("fastwam")["noise"]["inference"]["timesteps"]),
        *(
            (ShiftedGrid(shift=shift), recorded("lingbot_va")["noise"]["inference"][name])
            for shift, name in (
                (5.0, "video_25_shift_5"),
                (1.0, "action_50_shift_1"),
                (0.05, "action_10_shift_0.05"),
            )
        ),
    ],
    ids=["fastwam", "lingbot-video", "lingbot-action", "lingbot-libero"],
)
def test_shifted_steps_lie_where_the_originals_step(grid: Grid, levels: list[float]) -> None:
    times = np.array(steps_of(grid, len(levels)))
    np.testing.assert_allclose(times, [*(1.0 - np.array(levels) / 1000.0), 1.0], atol=1e-6)


def test_sigmas_of_the_sampler_of_cosmos_policy() -> None:
    made = recorded("cosmos_policy")["sampler"]
    grid = KarrasGrid(
        sigma_max=made["sigma_max"], sigma_min=made["sigma_min"], rho=float(made["order"])
    )
    times = np.array(steps_of(grid, made["steps"]))
    np.testing.assert_allclose((1.0 - times) / times, [*made["sigmas"], 0.0], rtol=1e-8, atol=1e-12)


def test_time_features_are_those_of_openpi() -> None:
    made = recorded("openpi")["time_embedding"]
    ours = sinusoid(
        torch.tensor(made["position"]),
        made["dimension"],
        longest=made["max_period"],
        shortest=made["min_period"],
    )
    np.testing.assert_allclose(ours.numpy(), made["embedding"], atol=2e-4)
