"""A whole pilot of small parts, in this process or in one of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.training import PARTS
from fakes.worlds import ACTION, OBSERVATION, record
from vertebra import recipes
from vertebra.data.cache import build_cache
from vertebra.evaluate.plan import Draw
from vertebra.pilot.material import divide
from vertebra.pilot.plan import Question
from vertebra.pilot.run import Setting, Watch, run_pilot
from vertebra.spec.seeds import SeedTree

COMMAND = (sys.executable, str(Path(__file__).with_name("job_main.py")))
LAYOUTS = Draw(split="layout", scenes=3)


def make_setting(directory: Path, *, simulator: bool = True, seeds: int = 1, **more) -> Setting:
    """Two arms with twins at four demonstrations, the sighted ones at two as well."""
    episodes = (record(index, annotated=False) for index in range(12))
    cache = build_cache(episodes, directory / "frames", source="fake")
    draws = (LAYOUTS, Draw(split="layout", scenes=2, conditions=("blank",), instructions=1))
    question = Question(
        recipes=(recipes.by_name("pi0"), recipes.by_name("fast-wam")),
        counts=(2, 4),
        seeds=seeds,
        size="tiny",
        privileged="none",
        **{"samples": 40, "batch_size": 2, **more},
        environment={"kind": "plane", "max_steps": 20} if simulator else None,
        draws=draws if simulator else (),
        fewer_draws=draws[:1] if simulator else (),
    )
    material = divide(
        cache,
        source="fake",
        needs=OBSERVATION,
        makes=ACTION,
        tree=SeedTree(root=0),
        simulator=simulator,
    )
    return Setting(
        question=question,
        material=material,
        cache=cache,
        workers=2,
        command=COMMAND,
        make_environment=PARTS.make_environment,
        watch=Watch(),
    )


if __name__ == "__main__":
    failures = run_pilot(make_setting(Path(sys.argv[1])), Path(sys.argv[2]))
    sys.exit(1 if failures else 0)
