"""Charts as Vega-Lite specifications: rows in, dictionaries out.

All are as wide as their container. Colours and axis texts come from the style sheet of the page
where they depend on light or dark; legends are part of the page, shared by all charts.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from vertebra.report.cards import Key
from vertebra.report.model import Page
from vertebra.report.rows import ENDINGS, Row

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TEXT_PX = 13
SHARE_AXIS = {"format": ".0%", "tickCount": 5}


def charts(page: Page) -> dict[str, dict[str, Any]]:
    """Name to specification, only of charts that have something to show."""
    rows = page.rows
    found: dict[str, dict[str, Any]] = {}
    for measure in ("following", "success"):
        chosen = [row for row in rows["curves"] if row["measure"] == measure]
        if chosen:
            found[f"curve-{measure}"] = _curve(chosen, page.keys, measure)
    for name, what in (("splits", "split"), ("skills", "skill"), ("conditions", "wording")):
        if rows[name]:
            found[name] = _dots(rows[name], page.keys, what)
    if rows["endings"]:
        found["endings"] = _endings(rows["endings"])
    if rows["comparisons"]:
        found["comparisons"] = _differences(rows["comparisons"])
    if rows["latency"]:
        found["latency"] = _latency(rows["latency"], page.keys)
    if rows["imagination"]:
        found["imagination"] = _ratios(rows["imagination"], page.keys)
    for arm, losses in page.losses.items():
        key = next(key for key in page.keys if key.name == arm)
        found[f"loss-{arm}"] = _loss(losses, key)
    return found


def _finish(chart: Any, description: str, height: int | alt.Step) -> dict[str, Any]:
    """Size, theme and alternative text; as a dictionary."""
    return (
        chart.properties(width="container", height=height, description=description)
        .configure(
            background="transparent",
            font=FONT,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding", resize=True),
            padding={"left": 2, "right": 10, "top": 6, "bottom": 2},
        )
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=TEXT_PX,
            titleFontSize=TEXT_PX,
            titleFontWeight="normal",
            labelPadding=6,
            titlePadding=8,
            domain=False,
            ticks=False,
            labelLimit=150,
        )
        .to_dict()
    )


def _data(rows: Sequence[Row]) -> alt.Data:
    return alt.Data(values=list(rows))


def _colour(keys: Sequence[Key]) -> alt.Color:
    return alt.Color(
        "arm:N",
        scale=alt.Scale(domain=[k.name for k in keys], range=[k.colour for k in keys]),
        legend=None,
    )


def _fill(keys: Sequence[Key]) -> alt.Fill:
    """Blind twins are hollow, so that colour is not the only difference."""
    return alt.Fill(
        "arm:N",
        scale=alt.Scale(
            domain=[k.name for k in keys],
            range=["#00000000" if k.blind else k.colour for k in keys],
        ),
        legend=None,
    )


def _tooltip(*first: str) -> list[alt.Tooltip]:
    return [
        *(alt.Tooltip(f"{name}:N") for name in first),
        alt.Tooltip("value:Q", format=".1%"),
        alt.Tooltip("low:Q", format=".1%", title="95 % from"),
        alt.Tooltip("high:Q", format=".1%", title="to"),
        alt.Tooltip("n:Q", title="rollouts"),
        alt.Tooltip("seeds:Q", title="training seeds"),
    ]


def _curve(rows: Sequence[Row], keys: Sequence[Key], measure: str) -> dict[str, Any]:
    counts = sorted({row["demonstrations"] for row in rows})
    x = alt.X(
        "shown_at:Q",
        title="demonstrations (log scale)",
        scale=alt.Scale(type="log", domain=[counts[0] / 1.5, counts[-1] * 1.5], nice=False),
        axis=alt.Axis(values=counts, format="d", grid=False),
    )
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(**SHARE_AXIS))
    base = alt.Chart(_data(rows)).encode(x=x, color=_colour(keys))
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("demonstrations:Q"), *_tooltip()]
    chart = alt.layer(
        base.mark_line(strokeWidth=2, opacity=0.55).encode(y=y),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
        base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
            y=y, fill=_fill(keys), tooltip=tips
        ),
    )
    return _finish(chart, f"{measure} rate against demonstrations, with 95 % intervals", 240)


def _dots(rows: Sequence[Row], keys: Sequence[Key], what: str) -> dict[str, Any]:
    arms = [key.name for key in keys if any(row["arm"] == key.name for row in rows)]
    names = list(dict.fromkeys(row["name"] for row in rows))
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=names, scale=alt.Scale(paddingInner=0.35)),
        yOffset=alt.YOffset("arm:N", sort=arms),
        color=_colour(keys),
    )
    x = {"scale": alt.Scale(domain=[0, 1]), "axis": alt.Axis(**SHARE_AXIS), "title": None}
    chart = alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", **x), x2="high:Q"),
        base.mark_point(size=70, strokeWidth=2, opacity=1).encode(
            x=alt.X("value:Q", **x), fill=_fill(keys), tooltip=_tooltip("arm", "name")
        ),
    )
    height = len(names) * (13 * len(arms) + 12) + 30
    return _finish(chart, f"rates by {what} with 95 % intervals", height)


def _endings(rows: Sequence[Row]) -> dict[str, Any]:
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    chart = (
        alt.Chart(_data(rows))
        .mark_bar(height={"band": 0.7})
        .encode(
            y=alt.Y("arm:N", title=None, sort=arms),
            x=alt.X(
                "share:Q",
                title=None,
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(**SHARE_AXIS),
            ),
            color=alt.Color(
                "ending:N",
                scale=alt.Scale(
                    domain=[name for name, _ in ENDINGS.values()],
                    range=[colour for _, colour in ENDINGS.values()],
                ),
                legend=None,
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("arm:N"),
                alt.Tooltip("ending:N"),
                alt.Tooltip("count:Q"),
                alt.Tooltip("n:Q", title="of rollouts"),
            ],
        )
    )
    return _finish(chart, "how the swapped rollouts ended", 34 * len(arms) + 30)


def _differences(rows: Sequence[Row]) -> dict[str, Any]:
    names = list(dict.fromkeys(row["name"] for row in rows))
    scale = alt.Scale(domain=[-1, 1])
    axis = alt.Axis(
        values=[-1, -0.5, 0, 0.5, 1],
        labelExpr="(datum.value > 0 ? '+' : datum.value < 0 ? '\u2212' : '') "
        "+ abs(100 * datum.value)",
    )
    measure = alt.Color(
        "measure:N",
        scale=alt.Scale(domain=["following", "success"], range=["#6a7fb5", "#8d8d94"]),
        legend=None,
    )
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=names, scale=alt.Scale(paddingInner=0.35)),
        yOffset=alt.YOffset("measure:N", sort=["following", "success"]),
        color=measure,
    )
    zero = alt.Chart(_data([{"zero": 0}])).mark_rule(strokeWidth=1.5, strokeDash=[4, 3])
    chart = alt.layer(
        zero.encode(x=alt.X("zero:Q", scale=scale, axis=axis, title=None)),
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", scale=scale, axis=axis, title=None), x2="high:Q"
        ),
        base.mark_point(size=70, filled=True, opacity=1).encode(
            x=alt.X("value:Q", scale=scale, axis=axis, title=None),
            shape=alt.Shape(
                "measure:N",
                scale=alt.Scale(domain=["following", "success"], range=["circle", "square"]),
                legend=None,
            ),
            tooltip=_tooltip("name", "measure", "word"),
        ),
    )
    return _finish(chart, "paired differences with 95 % intervals", len(names) * 44 + 30)


def _latency(rows: Sequence[Row], keys: Sequence[Key]) -> dict[str, Any]:
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("arm:N", title=None, sort=arms), color=_colour(keys)
    )
    scale = alt.Scale(zero=True, nice=True)
    tips = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("p50:Q", format=".1f", title="p50 (ms)"),
        alt.Tooltip("p95:Q", format=".1f", title="p95 (ms)"),
        alt.Tooltip("p99:Q", format=".1f", title="p99 (ms)"),
        alt.Tooltip("n:Q", title="chunks"),
    ]
    chart = alt.layer(
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X(
                "p50:Q",
                title="milliseconds a chunk",
                scale=scale,
                axis=alt.Axis(tickCount=6),
            ),
            x2="p99:Q",
        ),
        base.mark_tick(thickness=2, size=14).encode(x="p95:Q"),
        base.mark_tick(thickness=2, size=8).encode(x="p99:Q"),
        base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
            x=alt.X("p50:Q"), fill=_fill(keys), tooltip=tips
        ),
    )
    return _finish(chart, "latency of a chunk: p50, p95, p99", 34 * len(arms) + 50)


def _ratios(rows: Sequence[Row], keys: Sequence[Key]) -> dict[str, Any]:
    names = [row["name"] for row in rows]
    top = max(1.2, 1.05 * max(row["high"] for row in rows))
    x = {
        "scale": alt.Scale(domain=[0, min(top, 3.0)], clamp=True),
        "title": "relative error (1 = copying)",
        "axis": alt.Axis(tickCount=6, format=".1f"),
    }
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=names), color=_colour(keys)
    )
    one = alt.Chart(_data([{"one": 1}])).mark_rule(strokeWidth=1.5, strokeDash=[4, 3])
    tips = [
        alt.Tooltip("name:N"),
        alt.Tooltip("value:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f", title="95 % from"),
        alt.Tooltip("high:Q", format=".3f", title="to"),
        alt.Tooltip("n:Q", title="frames"),
        alt.Tooltip("seeds:Q", title="training seeds"),
    ]
    chart = alt.layer(
        one.encode(x=alt.X("one:Q", **x)),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", **x), x2="high:Q"),
        base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
            x=alt.X("value:Q", **x), fill=_fill(keys), tooltip=tips
        ),
    )
    return _finish(chart, "error of imagined frames over error of copying", 34 * len(names) + 50)


def _loss(rows: Sequence[Row], key: Key) -> dict[str, Any]:
    chart = (
        alt.Chart(_data(rows))
        .mark_line(strokeWidth=1.75, color=key.colour, opacity=0.85)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=4, grid=False, format="d")),
            y=alt.Y("loss:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)),
            strokeDash=alt.StrokeDash("seed:N", legend=None),
            tooltip=[
                alt.Tooltip("seed:N"),
                alt.Tooltip("step:Q"),
                alt.Tooltip("loss:Q", format=".4f"),
            ],
        )
    )
    return _finish(chart, f"validation loss of {key.name} against training steps", 150)
