"""The same estimands as robostats, where it has them: rates, paired checkpoints, Holm.

robostats speaks of two checkpoints on shared scenarios; verdicts speak of recipes over training
seeds, which it does not estimate. Its values are recorded, with where they are from, and are
compared with always; what is installed is compared with them where it is.
"""

from pathlib import Path

import pytest

from vertebra.spec.storage import read_json
from vertebra.stats.crossed import Rollout, difference
from vertebra.stats.paired import holm, mcnemar_exact
from vertebra.stats.proportion import clopper_pearson, wilson

RECORDED = read_json(Path(__file__).parents[1] / "contracts" / "recorded" / "robostats.json")


@pytest.mark.parametrize("row", RECORDED["rates"])
def test_intervals_of_one_rate(row) -> None:
    for ours, theirs in ((clopper_pearson, "clopper_pearson"), (wilson, "wilson")):
        found = ours(row["successes"], row["trials"])
        assert found is not None
        assert [found.low, found.high] == pytest.approx(row[theirs], abs=1e-9)


@pytest.mark.parametrize("row", RECORDED["paired"])
def test_two_checkpoints_on_shared_scenarios(row) -> None:
    """The exact test is the same; their score interval and our t over scenes agree at these n."""
    both, first, second, neither = row["table"]
    assert mcnemar_exact(first, second) == pytest.approx(row["mcnemar_p"], abs=1e-9)
    outcomes = [(1, 1)] * both + [(1, 0)] * first + [(0, 1)] * second + [(0, 0)] * neither
    one, other = (
        [Rollout(value=float(pair[side]), seed=0, state=i) for i, pair in enumerate(outcomes)]
        for side in (0, 1)
    )
    found = difference(one, other)
    assert found is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(row["difference"], abs=1e-12)
    assert [found.low, found.high] == pytest.approx(row["tango"], abs=0.02)
    assert found.method.startswith("one training seed")


def test_the_correction_for_several_questions() -> None:
    for row in RECORDED["holm"]:
        assert holm(row["p"]) == pytest.approx(row["adjusted"], abs=1e-12)


def test_the_recorded_values_are_those_of_the_installed_package() -> None:
    robostats = pytest.importorskip(
        "robostats", reason="robostats is not installed; its recorded values were compared with"
    )
    for row in RECORDED["rates"]:
        for name in ("clopper_pearson", "wilson"):
            found = getattr(robostats, name)(row["successes"], row["trials"])
            assert [found.lower, found.upper] == pytest.approx(row[name], abs=1e-12)
    for row in RECORDED["paired"]:
        table = paired_result(robostats, row["table"])
        assert robostats.mcnemar(table).p_value == pytest.approx(row["mcnemar_p"], abs=1e-12)
        found = robostats.paired_difference(table)
        assert [found.lower, found.upper] == pytest.approx(row["tango"], abs=1e-9)
    for row in RECORDED["holm"]:
        assert robostats.kmodel.adjust(row["p"], "holm") == pytest.approx(row["adjusted"])


def paired_result(robostats, table):
    """A 2 x 2 table of theirs: both, first only, second only, neither."""
    return robostats.PairedResult(
        policy_id_a="a",
        policy_id_b="b",
        n_both_success=table[0],
        n_a_success_b_failure=table[1],
        n_b_success_a_failure=table[2],
        n_both_failure=table[3],
        scenario_ids=tuple(str(i) for i in range(sum(table))),
        dropped_from_a=0,
        dropped_from_b=0,
        protocol_fingerprints_a=(),
        protocol_fingerprints_b=(),
        replicates=None,
    )
