"""Twenty comparisons at a phone in headless Chromium, interrupted once, and their ranking."""

import json
import math
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from fakes.arena import arena, drive
from fakes.chromium import Tab, chromium, find_chromium
from fakes.policies import Seeker
from fakes.serving import serving
from vertebra.serve.arena.referee import JOURNAL
from vertebra.serve.arena.results import comparison_records, read_comparisons, read_votes
from vertebra.spec.storage import read_jsonl
from vertebra.stats.bradley_terry import rank

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None, reason="no Chromium is installed (apt-get install chromium)"
    ),
]

PAIRS, WIDTH, HEIGHT = 20, 390, 844
GAINS = {"sassafras": 1.0, "tamarind": 0.4, "yuzu": 0.2}
SWAPPED = (3, 11)
"""Comparisons with a second instruction."""
INTERRUPTED = 9
MISREAD = 0.3
"""How often the evaluator prefers the worse one."""


class Evaluator:
    """Somebody with a phone: taps what is on the screen, and remembers all that came."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.heard: dict[str, str] = {}
        tab.resize(WIDTH, HEIGHT)

    def open(self, url: str) -> None:
        self.tab.events.clear()
        self.tab.send("Page.navigate", url=url)
        self.reach("idle")

    def reach(self, phase: str) -> None:
        self.tab.wait_for(f"!!document.querySelector('form#{phase}:not([hidden])')")

    def tap(self, selector: str) -> None:
        """Tap the middle of an element, as far as it is really there."""
        place = self.tab.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "const x = b.left + b.width / 2, y = b.top + b.height / 2;"
            "const hit = document.elementFromPoint(x, y);"
            "return {x, y, height: b.height, hit: e === hit || e.contains(hit)}; })()"
        )
        assert place["hit"], f"{selector} is covered"
        assert place["height"] >= 40, f"{selector} is too small for a finger"
        for kind in ("mousePressed", "mouseReleased"):
            self.tab.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place["x"],
                y=place["y"],
                button="left",
                clickCount=1,
            )

    def type(self, selector: str, text: str) -> None:
        self.tab.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.tab.send("Input.insertText", text=text)

    def slide(self, percent: int) -> None:
        self.tab.evaluate(
            f"(() => {{ const e = document.querySelector('#progress'); e.value = {percent};"
            "e.dispatchEvent(new Event('input')); })()"
        )

    def text(self, name: str) -> str:
        return self.tab.evaluate(
            f"document.querySelector('form:not([hidden]) [data-show={name}]').textContent"
        )

    def look(self) -> None:
        """The page fits the phone, and nothing that came names a policy."""
        assert self.tab.evaluate("document.documentElement.scrollWidth") <= WIDTH
        sizes = self.tab.evaluate(
            "[...document.querySelectorAll('form:not([hidden]) *')].filter(e => e.checkVisibility()"
            " && e.textContent.trim()).map(e => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(sizes) >= 14
        for event in list(self.tab.events):
            if event.get("method") != "Network.loadingFinished":
                continue
            number = event["params"]["requestId"]
            if number not in self.heard:
                self.heard[number] = self.tab.send("Network.getResponseBody", requestId=number)[
                    "body"
                ]
        self.heard["page"] = self.tab.evaluate("document.documentElement.outerHTML")


def test_twenty_pairs_at_a_phone(tmp_path: Path) -> None:
    folder = tmp_path / "arena"
    with ExitStack() as stack:
        policies = {
            name: stack.enter_context(serving(Seeker(gain=gain, noise=0.01))).url
            for name, gain in GAINS.items()
        }
        tab = stack.enter_context(chromium(tmp_path / "profile"))
        evaluator = Evaluator(tab)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        rng = np.random.default_rng(0)
        preferred: list[str] = []
        running = ExitStack()
        desk = running.enter_context(arena(folder, policies, seed=5, page_port=port))
        evaluator.open(desk.page)
        for number in range(PAIRS):
            if number == INTERRUPTED:
                evaluator.type("#instruction", "go to red")
                evaluator.tap("form#idle button.main")
                evaluator.reach("ready")
                evaluator.tap("form#ready button.main")
                evaluator.reach("running")
                assert tab.complaints() == []
                running.close()
                desk = running.enter_context(arena(folder, policies, page_port=port))
                evaluator.reach("ready")
                tab.events.clear()
            else:
                evaluator.type("#instruction", "go to red")
                if number in SWAPPED:
                    evaluator.type("#other", "go to blue")
                evaluator.tap("form#idle button.main")
            preferred.append(compare(evaluator, desk.robot, number, rng))
        evaluator.look()
        assert f"{PAIRS} comparisons" in tab.evaluate(
            "document.querySelector('#count').textContent"
        )
        assert tab.complaints() == []
        tab.picture(tmp_path / "page.png")
        running.close()
        told = "\n".join(evaluator.heard.values())
        assert len(evaluator.heard) > 8 * PAIRS
        for secret in (*policies, *policies.values()):
            assert secret not in told

    pairs = [(e["a"], e["b"]) for e in read_jsonl(folder / JOURNAL) if e["kind"] == "drawn"]
    assert len(pairs) == PAIRS
    found = rank(read_votes(folder))
    assert found.votes == PAIRS
    assert found.problem == ""
    for name, points in independent_fit(pairs, preferred).items():
        (place,) = [place for place in found.ranks if place.policy == name]
        assert place.points == pytest.approx(points, abs=0.05)
    records = comparison_records(read_comparisons(folder), "bench")
    assert len(records) == 2 * (PAIRS + len(SWAPPED))
    means = {name: np.mean([row.progress for row in records if row.arm == name]) for name in GAINS}
    assert means["sassafras"] > means["tamarind"] > means["yuzu"]


def compare(evaluator: Evaluator, robot: str, number: int, rng: np.random.Generator) -> str:
    """Both policies act, as often as the page asks for it; then the vote."""
    episodes = 4 if number in SWAPPED else 2
    progress: dict[str, float] = {"A": 0.0, "B": 0.0}
    for episode in range(episodes):
        evaluator.reach("ready")
        if episode < 2 or number in SWAPPED:
            evaluator.look()
        label, said = evaluator.text("label"), evaluator.text("said")
        assert label == "AB"[episode % 2]
        assert said == ("go to red" if episode < 2 else "go to blue")
        evaluator.tap("form#ready button.main")
        evaluator.reach("running")
        best, _ = drive(robot, number, said.removeprefix("go to "), chunks=3)
        progress[label] += best
        evaluator.tap("form#running button.main")
        evaluator.reach("scoring")
        evaluator.look()
        evaluator.slide(int(100 * best))
        evaluator.tap("form#scoring button.main")
    evaluator.reach("voting")
    better = max(progress, key=lambda label: progress[label])
    drawn = rng.random()
    if drawn < MISREAD:
        better = {"A": "B", "B": "A"}[better]
    elif drawn < MISREAD + 0.15:
        better = "tie"
    evaluator.tap(f"form#voting label:has([value={better}])")
    evaluator.type("#text", "A was calmer than B")
    evaluator.look()
    evaluator.tap("form#voting button.main")
    evaluator.reach("idle")
    return better


def independent_fit(pairs: list[tuple[str, str]], preferred: list[str]) -> dict[str, float]:
    """Davidson's likelihood, maximised without a gradient."""
    names = sorted(GAINS)

    def loss(x: np.ndarray) -> float:
        strength: dict[str, float] = dict(zip(names, [0.0, x[0], x[1]], strict=True))
        total = 0.0
        for (a, b), better in zip(pairs, preferred, strict=True):
            one, other = math.exp(strength[a]), math.exp(strength[b])
            both = 2 * math.exp(x[2]) * math.sqrt(one * other)
            chosen = {"A": one, "B": other, "tie": both}[better]
            total -= math.log(chosen / (one + other + both))
        return total

    options: dict[str, Any] = {"xatol": 1e-8, "fatol": 1e-12, "maxiter": 4000}
    fit = optimize.minimize(loss, np.zeros(3), method="Nelder-Mead", options=options)
    strength = np.array([0.0, fit.x[0], fit.x[1]])
    points = 1500 + 200 * (strength - strength.mean())
    return dict(zip(names, points.tolist(), strict=True))
