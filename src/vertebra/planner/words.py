"""A plan of a training as text."""

from collections.abc import Sequence

from vertebra.planner.plan import TrainingPlan, Wish

SCALES = ((1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
NOT_COUNTED = (
    "Not counted: text encoders (their states are cached), the network between GPUs, reading data, "
    "evaluations. A measurement on your machine outweighs all of this: vertebra doctor --gpus."
)


def milliseconds(seconds: float) -> str:
    """Seconds in milliseconds, with three digits."""
    value = 1e3 * seconds
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def scaled(value: float, unit: str) -> str:
    """A number with three digits and a prefix."""
    for scale, letter in SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {letter}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def plan_lines(wish: Wish, plan: TrainingPlan) -> list[str]:
    """The plan, a line each."""
    system, held = plan.system, plan.memory
    moments = f"{wish.demos} demonstrations of {wish.demo_s:g} s at {system.rate_hz:g} Hz"
    found = [
        f"{system.name} on {system.backbone.name}, {plan.gpus} x {plan.gpu.name}, tuned: "
        f"{wish.tune}",
        f"parameters     {scaled(plan.parameters, '')}, trained {scaled(plan.trained, '')}",
        f"a sample       {plan.work.tokens} tokens in attention; forward "
        f"{scaled(plan.work.backbone + plan.work.action, 'FLOP')}"
        f"{_encoding(plan, wish)}",
        f"samples        {plan.samples}, {plan.epochs:.3g} times every window of {moments}",
        f"a step         {plan.batch} samples: {plan.micro} a GPU at a time, "
        f"{plan.accumulated} before each step, activations "
        f"{'computed again' if plan.recomputed else 'remembered'}",
        f"memory a GPU   {scaled(held.total, 'B')} of {plan.gpu.memory_gb:g} GB: weights "
        f"{scaled(held.weights, 'B')}, gradients {scaled(held.gradients, 'B')}, optimizer "
        f"{scaled(held.optimizer, 'B')}, gathered {scaled(held.gathered, 'B')}, activations "
        f"{scaled(held.activations, 'B')}",
        _fit(plan),
        f"training       {scaled(plan.flops, 'FLOP')} (6 x parameters x tokens: "
        f"{scaled(plan.lower_bound, 'FLOP')})",
    ]
    if plan.fits:
        found += _time(plan, wish)
    found += _stored(plan)
    found += _acting(plan)
    return [*found, NOT_COUNTED]


def _encoding(plan: TrainingPlan, wish: Wish) -> str:
    if not plan.work.encode:
        return ""
    cost = scaled(plan.work.encode, "FLOP")
    return f", latents cached once ({cost})" if wish.cached else f", encoding pictures {cost}"


def _fit(plan: TrainingPlan) -> str:
    if plan.fits:
        return f"               fits; the least is {plan.least_gpus} x {plan.gpu.name}"
    if plan.least_gpus:
        return (
            f"               DOES NOT FIT: at least {plan.least_gpus} x {plan.gpu.name} are "
            "needed, or a smaller --tune"
        )
    return "               DOES NOT FIT, on any number of them: one sample is too large"


def _time(plan: TrainingPlan, wish: Wish) -> list[str]:
    found = [
        f"time           {_hours(plan.hours)} at {100 * wish.utilisation:g} % of the peak rate "
        f"({scaled(plan.gpu.bf16, 'FLOP/s')} each), {plan.tokens_a_second:,.0f} tokens/s"
    ]
    if plan.cost is not None:
        found.append(f"cost           {plan.cost:,.0f} at {wish.price:g} a GPU and hour")
    return found


def _stored(plan: TrainingPlan) -> list[str]:
    stored = plan.storage
    line = f"storage        pixels {scaled(stored.pixels, 'B')}"
    if stored.latents:
        line += (
            f"; latents {scaled(stored.latents, 'B')} with a window at every step, "
            f"{scaled(stored.latents_apart, 'B')} with windows behind one another"
        )
    return [line]


def _acting(plan: TrainingPlan) -> list[str]:
    chunk = plan.system.actions / plan.system.rate_hz
    found = [
        f"acting         {milliseconds(plan.floor_s)} a chunk of {plan.system.actions} actions "
        f"({milliseconds(chunk)}) at the peak of one {plan.gpu.name}; "
        f"{milliseconds(plan.eager_s)} not compiled; weights {scaled(plan.weights_bytes, 'B')}"
    ]
    for stage in plan.acting:
        compute, moved = stage.flops / plan.gpu.bf16, stage.read / plan.gpu.bandwidth
        bound = "compute" if compute >= moved else "bandwidth"
        found.append(
            f"               {stage.name} x{stage.passes}: {milliseconds(max(compute, moved))}, "
            f"bound by {bound}"
        )
    return found


def _hours(hours: float) -> str:
    return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    line = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return line + ["| " + " | ".join(row) + " |" for row in rows]
