"""How numbers are written for people."""

from vertebra.stats.interval import Estimate
from vertebra.verdict.summary import Price

SPLITS = {
    "all": "all splits",
    "layout": "new layouts",
    "pair": "new pairs",
    "composition": "new compositions",
    "paraphrase": "new wordings",
}
CONDITIONS = {
    "asked": "as trained",
    "paraphrase": "reworded",
    "blank": "no words",
    "nonsense": "nonsense",
}
FAMILIES = {
    "vla": "vision-language backbone",
    "wam": "video backbone",
    "hybrid": "both backbones",
    "control": "control",
}
OFFLINE = {
    "action_error": "Held-out action error",
    "error_of_mean_action": "Always the mean action",
    "error_of_repeated_action": "Last action repeated",
    "sensitivity": "Sensitivity to swapped words",
    "sensitivity_to_silence": "Sensitivity to silence",
    "directional": "Directional score",
}
AGAIN = (
    (
        "realtime",
        "What if the world does not wait?",
        "Everywhere else the simulation waits for the policy. Here control ticks pass while it "
        "computes: the robot holds when no action is ready, and an action is stale when it comes "
        "later than it was meant for.",
    ),
    (
        "robustness",
        "What if something else changes?",
        "One thing at a time is other than in the demonstrations; scenes, instructions and noise "
        "are those of the plan, so that every episode is compared with itself.",
    ),
)
"""Kind of evaluation under other conditions, its title and what it is."""
NEXT = {
    "first better": "Build on it. To doubt it with more seeds:",
    "second better": "Build on it. To doubt it with more seeds:",
    "equivalent": "Choose by latency or cost. To doubt it with more seeds:",
    "cannot tell": "Extend this pilot under its lock:",
}
"""Verdict to what comes before the command that re-opens it."""
NO_NUMBER = "–"
THIN = "\u202f"
TO = f"{THIN}–\u2060{THIN}"
"""A dash between two numbers at which no line breaks."""


def percent(value: float | None) -> str:
    """A share: ``64 %``."""
    return NO_NUMBER if value is None else f"{100 * value:.0f}{THIN}%"


def target(price: Price) -> str:
    """The success asked for, and of what: ``60 % success``."""
    return f"{percent(price.target)} {'of all links of the chains' if price.chains else 'success'}"


def percent_range(estimate: Estimate) -> str:
    """The interval of a share: ``49 – 79 %``."""
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{100 * estimate.low:.0f}{TO}{100 * estimate.high:.0f}{THIN}%"


def points(value: float | None) -> str:
    """A difference of shares: ``+12``, with a true minus sign."""
    return NO_NUMBER if value is None else signed(100 * value)


def points_range(estimate: Estimate) -> str:
    """The interval of a difference: ``−3 to +27``."""
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{signed(100 * estimate.low)} to {signed(100 * estimate.high)}"


def signed(value: float) -> str:
    """A number without decimals, with its sign (a true minus)."""
    return f"{value:+.0f}".replace("-", "\u2212")


def basis(estimate: Estimate) -> str:
    """What a number rests on: ``n = 450, 3 seeds``."""
    seeds = f"{estimate.seeds}{THIN}seed{'s' if estimate.seeds != 1 else ''}"
    if estimate.seeds == estimate.n and not estimate.states:
        return seeds
    count = f"n{THIN}={THIN}{grouped(estimate.n)}"
    return f"{count}, {seeds}" if estimate.seeds else count


def milliseconds(seconds: float | None) -> str:
    """A latency: ``27.4 ms``."""
    if seconds is None:
        return NO_NUMBER
    value = 1000 * seconds
    return f"{value:.{0 if value >= 100 else 1}f}{THIN}ms"


def milliseconds_range(estimate: Estimate) -> str:
    """The interval of a latency."""
    if estimate.low is None and estimate.high is None:
        return "no interval"
    if estimate.low is None or estimate.high is None:
        known = estimate.low if estimate.high is None else estimate.high
        return f"{'over' if estimate.high is None else 'under'} {milliseconds(known)}"
    digits = 0 if 1000 * estimate.high >= 100 else 1
    low, high = f"{1000 * estimate.low:.{digits}f}", f"{1000 * estimate.high:.{digits}f}"
    return f"{low}{TO}{high}{THIN}ms"


def plain_range(estimate: Estimate) -> str:
    """The interval of a number of any unit."""
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{estimate.low:.3g}{TO}{estimate.high:.3g}"


def grouped(value: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", THIN)


def count_range(low: float | None, high: float | None) -> str:
    """The interval of a number of demonstrations; open ends say so."""
    if low is None and high is None:
        return "interval open at both ends"
    if low is None:
        return f"under {grouped(high or 0)}"
    return f"over {grouped(low)}" if high is None else f"{grouped(low)}{TO}{grouped(high)}"


def ratio_range(estimate: Estimate) -> str:
    """The interval of a ratio; open ends say so."""
    low = "0" if estimate.low is None else f"{estimate.low:.2g}"
    return f"{low} and more" if estimate.high is None else f"{low}{TO}{estimate.high:.2g}"


def times(estimate: Estimate) -> str:
    """A ratio with its interval: ``2.1 (1.2 – 3.6)``."""
    return f"{estimate.value:.2g} ({ratio_range(estimate)})"


def scientific(value: float) -> str:
    """A large number: ``2.1 × 10¹⁴``."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}{THIN}×{THIN}10{raised}"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``3 min 25 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{THIN}s"
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60}{THIN}s"
    return f"{whole // 3600}{THIN}h {whole % 3600 // 60}{THIN}min"
