"""Five questions are answered on the first screen: with two policies, many, and one seed."""

import html
import re
from pathlib import Path

import pytest

from fakes.run import ARMS, FakeArm, write_run
from house import repository
from vertebra.cli.entry import run as command
from vertebra.report.cards import arm_keys, family_colours
from vertebra.report.model import build_page
from vertebra.report.render import render
from vertebra.verdict.run import Arm, read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import BETTER_FIRST, CANNOT_TELL

QUESTIONS = ("How sure?", "What does it cost?", "What is missing?", "What next?")
FAMILIES = ("vla",) * 6 + ("wam",) * 15 + ("hybrid",) * 2 + ("control",) * 2
MANY = tuple(
    FakeArm(name=f"{family}-{k}", recipe=f"{family}-{k}", family=family, act=0.5, hear=0.8)
    for k, family in enumerate(FAMILIES)
)
SMALL = {"pictures": False, "latency": False, "counts": (800,), "scenes": (8, 2, 2)}


def _page(out: Path):
    run = read_run(out)
    return build_page(out, run, summarise(run))


def _screen(page) -> tuple[str, dict[str, str]]:
    """What stands in the box: the sentence, and question to answer."""
    text = render(page)
    box = text[text.index('<div class="verdict') : text.index("</dl>")]
    headline = re.search(r'<p class="say">(.*?)</p>', box)
    assert headline is not None
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", box)
    plain = {name: html.unescape(re.sub(r"</?code>", "", answer)) for name, answer in found}
    return html.unescape(headline[1]), plain


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return _page(write_run(tmp_path_factory.mktemp("two"), pictures=False))


def test_the_documented_answers_stand_on_the_first_screen(default) -> None:
    """docs/reading.md shows this very run."""
    headline, answers = _screen(default)
    assert tuple(answers) == QUESTIONS
    guide = " ".join((repository.ROOT / "docs" / "reading.md").read_text().split())
    assert f"*{headline}*" in guide
    for question in QUESTIONS[:-1]:
        assert f"- {question} *{answers[question]}*" in guide
    said, _, command = answers["What next?"].partition(" vertebra")
    assert f"*{said}* `vertebra{command}`".replace(str(default.reopen.split()[2]), "OUT") in guide


def test_many_policies_are_one_table_with_those_left_first(tmp_path) -> None:
    best = FakeArm(name="best", recipe="best", family="vla", act=0.99, hear=0.99)
    lost = FakeArm(name="lost", recipe="lost", family="wam", act=0.02, hear=0.34)
    out = write_run(tmp_path, arms=(lost, *MANY[:3], best), seed_sd=0.02, **SMALL)
    page = _page(out)
    verdict = page.summary.verdict
    assert page.many and "lost" not in verdict.undefeated and "best" in verdict.undefeated
    assert ("lost", "best") in verdict.beaten
    names = [card.key.name for card in page.ordered_cards]
    assert set(names[: len(verdict.undefeated)]) == set(verdict.undefeated)
    assert page.ordered_cards[-1].standing.startswith("beaten by")
    text = render(page)
    assert text.count('<tr class="left"') == len(verdict.undefeated)
    assert '<article class="card"' not in text
    assert "lost was shown to be worse than" in " ".join(verdict.sentences)


def test_one_that_beats_all_others_is_named(tmp_path) -> None:
    weak = [FakeArm(name=n, recipe=n, family="wam", act=0.05, hear=0.34) for n in "abcd"]
    best = FakeArm(name="best", recipe="best", family="vla", act=0.99, hear=0.99)
    page = _page(write_run(tmp_path, arms=(*weak, best), seed_sd=0.02, **SMALL))
    verdict = page.summary.verdict
    assert (verdict.word, verdict.first, page.word) == (BETTER_FIRST, "best", "best is better")
    assert verdict.headline == "best is better here than each of the other 4 policies."


@pytest.mark.parametrize("arms", [ARMS, MANY[:6]])
def test_one_seed_cannot_tell_in_every_cell(tmp_path, arms) -> None:
    page = _page(write_run(tmp_path, arms=arms, seeds=(0,), **SMALL))
    verdict = page.summary.verdict
    assert verdict.word == CANNOT_TELL and verdict.beaten == ()
    assert {card.standing for card in page.cards} == {CANNOT_TELL}
    assert {c.word for c in page.summary.comparisons} == {CANNOT_TELL}
    headline, answers = _screen(page)
    assert headline.startswith("Cannot tell")
    assert answers["How sure?"].startswith("Not at all: 1 training seed ")
    assert "--seeds 3" in answers["What next?"]
    words = " ".join((headline, *answers.values(), *verdict.sentences))
    assert not re.search(r"better than|worse than|beat|[+\u2212]\d+ points", words)


def test_every_policy_has_a_colour_of_its_own() -> None:
    arms = [Arm(name=a.name, recipe=a.recipe, family=a.family, blind=False) for a in MANY]
    colours = [key.colour for key in arm_keys(arms)]
    assert len(set(colours)) == len(arms) == 25
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert family_colours("vla", 2) == family_colours("vla", 3)[:2], "few keep the palette"


def test_without_a_browser_it_is_said_what_to_install(tmp_path, monkeypatch, capsys) -> None:
    out = write_run(tmp_path / "run", **SMALL)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command(["report", str(out), "--png", str(tmp_path / "first.png")]) == 2
    assert "apt-get install chromium" in capsys.readouterr().err
