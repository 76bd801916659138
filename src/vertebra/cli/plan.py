"""Commands about planning; they need the base install only."""

import json
from typing import Any

from vertebra.cli.arguments_plan import PlanChangeCommand, PlanPilotCommand, PlanTrainCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.planner.plan import Wish as TrainingWish
from vertebra.planner.plan import plan_training
from vertebra.planner.words import plan_lines
from vertebra.spec.storage import to_plain
from vertebra.study.design import Forecast, Wish, proposals
from vertebra.study.errors import Share
from vertebra.verdict.run import change_criteria


def pilot(command: PlanPilotCommand) -> int:
    """Propose designs."""
    wish = Wish(
        criteria=command.criteria,
        arms=command.arms,
        twins=not command.no_twins,
        most=command.demos,
        difference=command.difference,
        ratio=command.ratio,
        success=command.success,
        seed_sd=command.seed_sd,
        gpu_hours=command.gpu_hours,
        operator_hours=command.operator_hours,
        training_hours=command.training_hours,
        rollout_minutes=command.rollout_minutes,
        pilots=command.pilots,
    )
    found = proposals(wish)
    if command.json:
        write_out_json({"wish": wish, "designs": [_plain(forecast) for forecast in found]})
        return 0
    write_out(
        f"Simulated: {wish.arms} recipes, seeds {wish.seed_sd:g} logits apart, the better one at "
        f"{100 * wish.success:.0f} %, ahead by {_ahead(wish)}; judged by "
        f"{', '.join(wish.criteria.endpoints)}."
    )
    best = found[0].design
    write_out(
        f"Proposed: {best.seeds} seeds, {best.rollouts} rollouts a training, demonstrations "
        f"{' '.join(str(count) for count in best.counts)}."
    )
    write_out("seeds  rollouts  demonstrations          trainings  GPU-h  operator-h  total")
    for one in found:
        write_out(_row(one))
    return 0


def train(command: PlanTrainCommand) -> int:
    """Count what a training needs."""
    wish = TrainingWish(
        recipe=command.recipe,
        gpus=command.gpus,
        demos=command.demos,
        backbone=command.backbone,
        demo_s=command.demo_seconds,
        samples=command.samples,
        epochs=command.epochs,
        batch=command.batch,
        tune=command.tune,
        utilisation=command.utilisation,
        cached=not command.pixels,
        price=command.price,
    )
    plan = plan_training(wish)
    if command.json:
        write_out_json({"wish": wish, "plan": plan})
        return 0 if plan.fits else 1
    for line in plan_lines(wish, plan):
        write_out(line)
    return 0 if plan.fits else 1


def change(command: PlanChangeCommand) -> int:
    """Write changed criteria into a run."""
    values = {name: _value(text) for name, text in command.set.items()}
    changes = change_criteria(command.run, values, command.why)
    if command.json:
        write_out_json({"changes": changes})
        return 0
    for words in changes:
        write_out(words)
    write_out("The report shows this. Write it anew with `vertebra report`.")
    return 0


def _ahead(wish: Wish) -> str:
    if "demonstrations" in wish.criteria.endpoints:
        return f"a factor of {wish.ratio:g} in demonstrations"
    return f"{100 * wish.difference:.0f} points"


def _row(one: Forecast) -> str:
    design = one.design
    counts = " ".join(str(count) for count in design.counts)
    total = "-" if design.total is None else f"{design.total:.0f}"
    return (
        f"{design.seeds:5}  {design.rollouts:8}  {counts:22}  {design.trainings:9}  "
        f"{design.gpu_hours:5.1f}  {design.operator_hours:10.1f}  {total:>5}\n"
        f"       found in {_percent(one.power)}, cannot tell in {_percent(one.cannot_tell)}, equal "
        f"recipes called different in {_percent(one.false_better)}"
    )


def _percent(share: Share) -> str:
    return f"{100 * share.value:.0f} % ({100 * share.lower:.0f} to {100 * share.upper:.0f})"


def _plain(one: Forecast) -> dict[str, Any]:
    plain = to_plain(one.design)
    for name in ("power", "cannot_tell", "false_better"):
        share: Share = getattr(one, name)
        plain[name] = {"value": share.value, "low": share.lower, "high": share.upper}
    return plain


def _value(text: str) -> Any:
    """JSON where it is, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
