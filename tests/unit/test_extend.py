"""A finished pilot is extended under its lock; what is no extension is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.pilots import make_setting
from fakes.run import write_run
from vertebra import recipes
from vertebra.audit.report import audit_run
from vertebra.cli.audit import _drawing
from vertebra.cli.entry import run as command
from vertebra.pilot.extension import Extension
from vertebra.pilot.history import Wish, read_plan
from vertebra.pilot.layout import RunDirectory
from vertebra.pilot.run import extend_pilot, run_pilot
from vertebra.report.render import write_report
from vertebra.spec.storage import read_json, write_json
from vertebra.verdict.rule import ALPHA, level_at, spent
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished pilot of one arm at 4 demonstrations with one seed."""
    base = tmp_path_factory.mktemp("finished")
    setting = make_setting(base)
    question = replace(
        setting.question, recipes=setting.question.recipes[:1], counts=(4,), twins="none"
    )
    setting = replace(setting, question=question)
    assert run_pilot(setting, base / "out") == []
    return setting, base / "out"


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory):
    """The same, extended by a seed, then by a number of demonstrations and a recipe."""
    setting, source = finished
    out = Path(shutil.copytree(source, tmp_path_factory.mktemp("extended") / "out"))
    assert extend_pilot(setting, out, Wish(seeds=2, seen="cannot tell")) == []
    wish = Wish(recipes=(recipes.by_name("gr00t"),), counts=(5,), seen="cannot tell")
    assert extend_pilot(setting, out, wish) == []
    write_report(out)
    return setting, out


def _bytes(out, *names):
    return {name: (out / name).read_bytes() for name in names}


def test_the_lock_stays_and_what_is_there_is_not_done_again(finished, extended):
    (_, before), (_, after) = finished, extended
    names = ["plan.json", "episodes.json"]
    names += [
        path.relative_to(before).as_posix()
        for path in before.glob("jobs/*/*.json*")
        if path.name != "show.json"
    ]
    assert len(names) == 7 and _bytes(before, *names) == _bytes(after, *names)
    old, new = read_plan(RunDirectory(root=before)), read_plan(RunDirectory(root=after))
    assert old.hash == new.hash and old.question == new.question
    assert (new.grid.counts, new.grid.seeds) == ((4, 5), 2)
    assert [recipe.name for recipe in new.grid.recipes] == ["pi0", "gr00t"]
    found = {path.parent.name for path in after.glob("jobs/*/result.json")}
    assert found == {cell.id for cell in new.grid.cells} and len(found) == 8


def test_scenes_and_twins_of_the_locked_largest_number_are_those_of_larger_ones(tmp_path):
    question = make_setting(tmp_path).question
    wider = question.extended(Extension(counts=(8, 3), seeds=1, finished=6, seen=""))
    assert [wider.draws_at(n) for n in (2, 3)] == [question.fewer_draws] * 2
    assert [wider.draws_at(n) for n in (4, 8)] == [question.draws] * 2
    twins = {(c.demonstrations, c.seed) for c in wider.cells if c.arm.blind}
    assert twins == {(n, s) for n in (4, 8) for s in (0, 1)}
    assert {c.id for c in question.cells} < {c.id for c in wider.cells}


def test_new_trainings_meet_the_locked_scenes(extended):
    _, out = extended
    locked = read_json(out / "jobs" / "pi0-n4-s0" / "job.json")["evaluation"]
    for job in ("pi0-n5-s1", "gr00t-n4-s0"):
        spec = read_json(out / "jobs" / job / "job.json")
        assert spec["evaluation"] | {"films": 0} == locked | {"films": 0}
        assert spec["plan"] == read_json(out / "plan.json")["hash"]
    subset = {
        n: read_json(out / f"jobs/pi0-n{n}-s0/job.json")["training"]["episodes"] for n in (4, 5)
    }
    assert set(subset[4]) < set(subset[5])


def test_the_history_is_counted_told_and_hashed(extended):
    _, out = extended
    rows = read_json(out / "extensions.json")["extensions"]
    assert rows[0]["before"] == read_json(out / "plan.json")["hash"]
    assert rows[1]["before"] == rows[0]["hash"]
    assert (rows[0]["finished"], rows[1]["finished"]) == (1, 2)
    assert set(rows[1]["calibration"]) == {"gr00t"} and not rows[0]["calibration"]
    summary = summarise(read_run(out))
    assert summary.looks == 3 and summary.jobs_finished == summary.jobs_planned
    told = " ".join(summary.extensions)
    assert "1 training seed an arm (after 1 finished trainings, when it said: cannot tell" in told
    assert "the recipe gr00t and 5 demonstrations" in told and rows[1]["hash"] in told
    assert "Looked at 3 times" in told and "judged at 0.2 % instead of 5 %" in told
    assert "at most 6.2 %" in told
    page = (out / "report.html").read_text()
    assert "Extended after looking:" in page and "Looked at 3 times" in page


def test_a_later_look_is_judged_more_strictly():
    assert level_at(1) == ALPHA and level_at(3) == ALPHA / 25
    assert spent(2) == pytest.approx(1.2 * ALPHA)
    assert spent(50) == pytest.approx(1.25 * ALPHA)


def test_the_audit_follows_the_history(extended, tmp_path):
    _, source = extended
    found = audit_run(source, _drawing())
    assert found.findings == () and found.unchecked == ()
    assert found.jobs == len(read_plan(RunDirectory(root=source)).grid.cells)
    out = Path(shutil.copytree(source, tmp_path / "moved"))
    assert audit_run(out, _drawing()).findings == ()
    history = read_json(out / "extensions.json")
    for part, value in (("finished", 0), ("seen", "not read"), ("seeds", 2)):
        edited = read_json(source / "extensions.json")
        edited["extensions"][0][part] = value
        write_json(out / "extensions.json", edited)
        kinds = {(f.kind, f.where) for f in audit_run(out).findings}
        assert ("unreadable", "plan.json, extensions.json") in kinds
    write_json(out / "extensions.json", {**history, "extensions": history["extensions"][:1]})
    kinds = {f.kind for f in audit_run(out).findings}
    assert "swapped label" in kinds, "trainings of an extension that was struck out"
    (out / "extensions.json").unlink()
    assert {f.kind for f in audit_run(out).findings} >= {"swapped label"}


def test_the_same_wish_continues_and_records_nothing_new(extended, tmp_path):
    setting, source = extended
    out = Path(shutil.copytree(source, tmp_path / "out"))
    shutil.rmtree(out / "jobs" / "gr00t-n5-s1")
    before = _bytes(out, "extensions.json")
    wish = Wish(recipes=(recipes.by_name("gr00t"),), counts=(5,), seeds=2, seen="cannot tell")
    assert extend_pilot(setting, out, wish) == []
    assert (out / "jobs" / "gr00t-n5-s1" / "result.json").exists()
    assert _bytes(out, "extensions.json") == before


def test_what_was_locked_is_still_the_pilot(extended):
    setting, out = extended
    before = _bytes(out, "extensions.json", "plan.json")
    assert run_pilot(setting, out) == [], "the first command continues the extended pilot"
    assert _bytes(out, "extensions.json", "plan.json") == before
    wider = replace(setting.question, seeds=2)
    with pytest.raises(ValueError, match=r"seeds: locked is 1, asked is 2[\s\S]*vertebra extend"):
        run_pilot(replace(setting, question=wider), out)


def test_what_is_no_extension_is_refused_before_anything_is_spent(finished, tmp_path):
    setting, source = finished
    out = Path(shutil.copytree(source, tmp_path / "out"))
    other = replace(setting.material, data_hash="another")
    with pytest.raises(ValueError, match="data: locked is content"):
        extend_pilot(replace(setting, material=other), out, Wish(seeds=2))
    with pytest.raises(ValueError, match=r"999 demonstrations.*another pilot"):
        extend_pilot(setting, out, Wish(counts=(999,)))
    with pytest.raises(ValueError, match="takes nothing away"):
        extend_pilot(setting, out, Wish(seeds=0))
    with pytest.raises(ValueError, match="blind twin"):
        blind = recipes.by_name("gr00t").blinded()
        extend_pilot(setting, out, Wish(recipes=(blind,)))
    shutil.rmtree(out / "jobs" / "pi0-n4-s0")
    with pytest.raises(ValueError, match="not finished yet: pi0-n4-s0; finish the pilot first"):
        extend_pilot(setting, out, Wish(seeds=2))
    assert not (out / "extensions.json").exists() and not list(out.glob("jobs/*"))


def test_changed_scenes_are_refused(finished, tmp_path):
    setting, source = finished
    out = Path(shutil.copytree(source, tmp_path / "out"))

    def shifted(settings):
        environment = setting.make_environment(settings)
        plain = environment.initial_states
        environment.initial_states = lambda split, count, seed: plain(split, count, seed + 1)
        return environment

    with pytest.raises(ValueError, match="does not plan the locked episodes any more"):
        extend_pilot(replace(setting, make_environment=shifted), out, Wish(seeds=2))


def test_the_verdict_names_the_command(tmp_path, capsys):
    out = write_run(tmp_path / "run", counts=(800,), pictures=False, seeds=(0,))
    summary = summarise(read_run(out))
    assert summary.verdict.reopen == "--seeds 3"
    assert command(["verdict", str(out)]) == 0
    assert f"To re-open it: vertebra extend {out} --seeds 3" in capsys.readouterr().out
    write_report(out)
    assert f"<code>vertebra extend {out} --seeds 3</code>" in (out / "report.html").read_text()


def test_the_command_line_refuses_what_it_cannot_find(finished, tmp_path, capsys):
    _, source = finished
    assert command(["extend", str(tmp_path)]) == 2
    assert "holds no plan.json" in capsys.readouterr().err
    assert command(["extend", str(source)]) == 2
    assert "Nothing is asked for" in capsys.readouterr().err
    assert command(["extend", str(source), "--seeds", "2"]) == 2
    assert "Where are they now? Give --data" in capsys.readouterr().err
    assert command(["extend", str(source), "--recipes", "pi9"]) == 2
    assert "pi9" in capsys.readouterr().err
