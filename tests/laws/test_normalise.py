"""Normalising and back changes nothing but the last bits."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vertebra.data.cache import build_cache
from vertebra.data.episode import EpisodeData
from vertebra.data.statistics import (
    Constant,
    Normaliser,
    Scaling,
    Statistics,
    fit,
    fit_statistics,
)

TABLES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.floats(-1e4, 1e4, width=32),
)


@settings(max_examples=200, deadline=None)
@given(table=TABLES, scaling=st.sampled_from(list(Scaling)), data=st.data())
def test_denormalise_undoes_normalise(
    table: np.ndarray, scaling: Scaling, data: st.DataObject
) -> None:
    normaliser = fit(table, scaling=scaling)
    others = data.draw(
        hnp.arrays(np.float32, table.shape, elements=st.floats(-1e4, 1e4, width=32)), label="others"
    )
    for values in (table, others):
        back = normaliser.denormalise(normaliser.normalise(values))
        allowed = 2.0**-22 * (np.abs(values) + np.abs(normaliser.offset))
        assert (np.abs(back.astype(np.float64) - values) <= allowed).all()


@settings(max_examples=100, deadline=None)
@given(table=TABLES, scaling=st.sampled_from(list(Scaling)))
def test_json_keeps_every_digit(table: np.ndarray, scaling: Scaling) -> None:
    normaliser = fit(table, scaling=scaling)
    assert Normaliser.from_json(json.loads(json.dumps(normaliser.to_json()))) == normaliser


def test_each_scaling_does_what_its_name_says() -> None:
    table = np.random.default_rng(0).normal(3.0, 5.0, (20_000, 2))
    by_deviation = fit(table, scaling=Scaling.MEAN_STD).normalise(table)
    assert by_deviation.mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert by_deviation.std(axis=0) == pytest.approx([1, 1], abs=1e-5)
    by_quantile = fit(table, scaling=Scaling.QUANTILES).normalise(table)
    assert np.quantile(by_quantile, [0.01, 0.99], axis=0) == pytest.approx(
        np.array([[-1, -1], [1, 1]]), abs=1e-5
    )
    assert by_quantile.max() > 1.2, "values outside the quantiles must not be clipped"


@pytest.mark.parametrize("scaling", list(Scaling))
def test_constant_dimensions_are_safe_and_said(scaling: Scaling) -> None:
    table = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    normaliser = fit(table, scaling=scaling, names=("x", "gripper"))
    assert normaliser.normalise(table)[:, 1].tolist() == [0, 0, 0]
    assert normaliser.normalise(np.array([1.0, 8.0]))[1] == 1.0
    assert "gripper: constant at 7 in 3 rows" in normaliser.notes[0]
    with pytest.raises(ValueError, match=r"never vary.*'gripper': 7\.0"):
        fit(table, scaling=scaling, names=("x", "gripper"), constants=Constant.REFUSE)


def test_a_rare_event_between_equal_quantiles_keeps_its_range() -> None:
    table = np.full((1000, 1), -1.0)
    table[500] = 1.0
    normaliser = fit(table, scaling=Scaling.QUANTILES, names=("gripper",))
    assert normaliser.normalise(table).min() == -1.0
    assert normaliser.normalise(table).max() == 1.0
    assert "coincide" in normaliser.notes[0]


def test_only_labelled_frames_of_the_chosen_episodes_count(tmp_path: Path) -> None:
    def episode(value: float, labelled: int) -> EpisodeData:
        actions = np.full((4, 1), value, np.float32)
        actions[labelled:] = np.nan
        actions[0] = -value
        return EpisodeData(
            images={"front": np.zeros((4, 2, 2, 3), np.uint8)},
            state=np.arange(4, dtype=np.float32)[:, None] * value,
            actions=actions,
            instruction="x",
        )

    unlabelled = episode(1000.0, 1)
    unlabelled.actions[:] = np.nan
    cache = build_cache([episode(1.0, 4), episode(3.0, 2), unlabelled], tmp_path / "cache")
    found = fit_statistics(cache, [1, 2], scaling=Scaling.MEAN_STD, state_names=("x",))
    assert found.action.rows == found.state.rows == 2
    assert found.action.offset == (0.0,)
    assert found.state.offset == (1.5,)
    assert found.state.names == ("x",)
    assert Statistics.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(ValueError, match="None of the 1 chosen episodes has an action label"):
        fit_statistics(cache, [2])


def test_wrong_input_is_refused() -> None:
    normaliser = fit(np.eye(3), scaling=Scaling.MEAN_STD)
    with pytest.raises(ValueError, match="has 3 dimensions"):
        normaliser.normalise(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="infinity"):
        fit(np.array([[np.inf], [0.0]]), scaling=Scaling.MEAN_STD)
    with pytest.raises(ValueError, match="No row"):
        fit(np.array([[np.nan]]), scaling=Scaling.MEAN_STD)
    with pytest.raises(ValueError, match="positive scale"):
        Normaliser(scaling=Scaling.MEAN_STD, names=("a",), offset=(0.0,), scale=(0.0,), rows=1)
    with pytest.raises(ValueError, match="and fields"):
        Normaliser.from_json({**normaliser.to_json(), "extra": 1})
