"""Success is the asked task; another task that was achieved, or none, is a timeout."""

from fakes.policies import Seeker
from fakes.worlds import Plane, make_state
from vertebra.evaluate import run
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import plan_episodes
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome

IDENTITY = run.Identity(pilot="p", arm="a", family="control", demonstrations=1, seed=0)


def _records(policy: Seeker) -> list[EpisodeRecord]:
    plan = plan_episodes([make_state("layout", n) for n in range(2)], ("asked",), 7, instructions=3)
    return list(run.run_episodes(PolicyActor(policy), Plane, plan, IDENTITY))


def check_outcomes() -> None:
    """One policy follows the words, one always goes to the red place, one stays where it is."""
    for record in _records(Seeker()):
        assert record.outcome is Outcome.SUCCESS, "the asked task was achieved"
        assert record.task in record.achieved and record.steps < Plane().max_steps
    for record in _records(Seeker(hears=False)):
        asked = record.task == "reach/red"
        wanted = Outcome.SUCCESS if asked else Outcome.TIMEOUT
        assert record.outcome is wanted, f"red was reached, {record.task} was asked"
        assert record.achieved == ("reach/red",)
    for record in _records(Seeker(gain=0.0)):
        assert record.outcome is Outcome.TIMEOUT and record.achieved == ()
        assert record.steps == Plane().max_steps
