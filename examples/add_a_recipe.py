"""A system of one's own, in one file: build it, train one step, act.

Fast-WAM whose action also looks at the state as a token. Run it with PYTHONPATH=tests.
"""

from dataclasses import replace

from fakes.networks import observation, policy_of  # a small robot and random views of it
from fakes.recipes import loss_of, who_sees_whom
from vertebra.policy.recipe import Recipe
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.spec.streams import ALL, given

MINE: Recipe = replace(
    FAST_WAM,
    name="my-wam",
    source="our lab",
    coupling=replace(FAST_WAM.trunk, context=("text",)).with_stream(
        given("state"), expert="action", sees={"state": ALL}, seen_by={"action": ALL}
    ),
)
EXPECTED = {
    "frame": {"frame"},
    "future": {"frame", "future"},
    "state": {"state"},
    "action": {"frame", "state", "action"},
}

if __name__ == "__main__":
    if who_sees_whom(MINE) != EXPECTED or MINE.skips != {"future"}:
        raise SystemExit("The table is not the figure.")
    print("losses", {name: round(value, 3) for name, value in loss_of(MINE).items()})
    policy = policy_of(MINE)
    session, act = policy.act(policy.start(0), observation(0))
    print("chunk", act.chunk.shape, "evaluations", dict(act.evaluations))
