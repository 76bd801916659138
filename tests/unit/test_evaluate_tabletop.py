"""The runner on the real table-top: the references bracket whatever is trained."""

from vertebra.demonstrate.demonstrator import Demonstrator
from vertebra.envs.tabletop import Tabletop
from vertebra.evaluate.actor import DemonstratorActor, RandomActor
from vertebra.evaluate.plan import Draw, plan_draws
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.spec.task import Outcome


def make():
    return Tabletop(cameras=("front",), size=16)


def test_the_demonstrator_does_what_it_is_asked_and_chance_does_not():
    table = make()
    plan = plan_draws(table, [Draw(split="layout", scenes=4)], 11)
    actors = {
        "demonstrator": DemonstratorActor(lambda environment: Demonstrator(environment).act),
        "random": RandomActor(table.takes),
    }
    records = {
        name: list(
            run_episodes(
                actor,
                make,
                plan,
                Identity(pilot="p", arm=name, family="control", demonstrations=0, seed=0),
                lanes=6,
            )
        )
        for name, actor in actors.items()
    }
    assert all(len(rows) == 12 for rows in records.values())
    up, down = records["demonstrator"], records["random"]
    assert all(row.outcome == Outcome.SUCCESS and row.progress == 1.0 for row in up)
    assert all(row.task in row.achieved and row.first_touched == row.target for row in up)
    assert sum(row.outcome == Outcome.SUCCESS for row in down) <= 2
    assert all(row.steps == table.max_steps for row in down if row.outcome == Outcome.TIMEOUT)
    same = [
        (a.initial_hash == b.initial_hash, a.task == b.task) for a, b in zip(up, down, strict=True)
    ]
    assert all(hashes and tasks for hashes, tasks in same)
    assert len({row.initial_hash for row in up}) == 4
    assert [row.content_hash() for row in down] == [
        row.content_hash()
        for row in run_episodes(
            actors["random"],
            make,
            plan,
            Identity(pilot="p", arm="random", family="control", demonstrations=0, seed=0),
        )
    ]
