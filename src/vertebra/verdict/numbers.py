"""How the verdict writes numbers."""

from vertebra.stats.interval import Estimate


def percent(estimate: Estimate) -> str:
    """A rate with interval and n: ``72 % (95 % interval 60 to 81 %; n = 450, 3 seeds)``."""
    return f"{100 * estimate.value:.0f} % ({_interval(estimate, ' %')}; {basis(estimate)})"


def points(estimate: Estimate) -> str:
    """A difference of rates: ``+42 points (95 % interval +25 to +58; n = 450, 3 seeds)``."""
    return f"{signed(estimate.value)} points ({_interval(estimate, '')}; {basis(estimate)})"


def times(estimate: Estimate) -> str:
    """A ratio: ``2.1 times (95 % interval 1.2 to 3.6; 30 trainings)``."""
    low = "0" if estimate.low is None else f"{estimate.low:.2g}"
    high = "any number" if estimate.high is None else f"{estimate.high:.2g}"
    return (
        f"{estimate.value:.2g} times ({100 * estimate.level:.0f} % interval {low} to {high}; "
        f"{estimate.n} trainings)"
    )


def milliseconds(seconds: float) -> str:
    """A latency."""
    return f"{1000 * seconds:.0f} ms"


def signed(share: float) -> str:
    """A difference in points with a true sign."""
    return f"{100 * share:+.0f}".replace("-", "\u2212")


def basis(estimate: Estimate) -> str:
    """What a number rests on."""
    seeds = f", {estimate.seeds} seed{'s' if estimate.seeds != 1 else ''}" if estimate.seeds else ""
    return f"n = {estimate.n}{seeds}"


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return words[:1].upper() + words[1:] + "."


def _interval(estimate: Estimate, unit: str) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    if unit:
        ends = f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f}{unit}"
    else:
        ends = f"{signed(estimate.low)} to {signed(estimate.high)}"
    return f"{100 * estimate.level:.0f} % interval {ends}"
