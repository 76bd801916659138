"""What an audit of a checkpoint says besides the family: conventions, pitfalls, page, commands."""

import json
import re
from html.parser import HTMLParser

import pytest

from fakes.checkpoint_files import recorded, write_checkpoint, write_recorded, write_safetensors
from fakes.serving import droid_policy
from house.interpreter import not_in_base, run_without
from vertebra.audit.checkpoint import audit_checkpoint
from vertebra.audit.checkpoint_page import checkpoint_page, scaled
from vertebra.cli.entry import run
from vertebra.policy.checkpoint import save_policy
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.recipes.pi0 import PI0 as PI0_RECIPE

PI0 = recorded("policy_lerobot_pi0")


def named(audit, name):
    return [pitfall for pitfall in audit.pitfalls if pitfall.name == name]


@pytest.fixture
def pi0(tmp_path):
    return write_checkpoint(tmp_path / "pi0", PI0.tensors, PI0.configuration)


def test_conventions_of_a_lerobot_policy(pi0):
    found = audit_checkpoint(pi0)
    facts = {fact.label: fact.value for fact in found.facts}
    assert facts["chunk"] == "chunk_size = 50"
    assert facts["output"] == "action [6]"
    assert found.cameras == ("observation.images.top",)
    assert ("layers", "2") in {(fact.label, fact.value) for fact in found.sizes}
    assert ("action width (padded)", "6") in {(fact.label, fact.value) for fact in found.sizes}


def test_every_pitfall_of_a_policy_names_its_check(pi0):
    found = audit_checkpoint(pi0)
    assert {
        *("Gripper polarity", "Quaternion sign and order", "Layout of a six-number rotation"),
        *("How much of a chunk is executed", "Normalisation keys are missing"),
    } <= {pitfall.name for pitfall in found.pitfalls}
    assert all(pitfall.check and pitfall.because for pitfall in found.pitfalls)
    marked = [pitfall.found for pitfall in found.pitfalls]
    assert marked == sorted(marked, reverse=True)


def test_statistics_kept_as_tensors_are_found(pi0):
    name = "policy_preprocessor_step_5_normalizer_processor.safetensors"
    tensors = {
        f"{of}.{kind}": [6] for of in ("action", "observation.state") for kind in ("mean", "std")
    }
    write_safetensors(pi0 / name, tensors)
    found = audit_checkpoint(pi0)
    assert {(table.of, table.kinds, table.width) for table in found.statistics} == {
        ("action", ("mean", "std"), 6),
        ("observation.state", ("mean", "std"), 6),
    }
    assert not named(found, "Normalisation keys are missing")


def test_statistics_that_lack_what_is_claimed(pi0):
    table = {"action": {"min": [0.0] * 6, "max": [1.0] * 6}}
    (pi0 / "dataset_stats.json").write_text(json.dumps(table))
    (wrong,) = named(audit_checkpoint(pi0), "Normalisation keys are missing")
    assert "MEAN_STD is claimed for ACTION" in wrong.because
    assert "no mean and no std" in wrong.because


@pytest.mark.parametrize(
    "table",
    [
        {"mean": [0.0] * 3, "std": [1.0, 0.0, 1.0]},
        {"min": [0.0, 2.0, 0.0], "max": [1.0, 2.0, 1.0]},
        {"q01": [0.0, 2.0, 0.0], "q99": [1.0, 2.0, 1.0]},
    ],
)
def test_a_dimension_without_range_is_named(table, pi0):
    assets = pi0 / "assets" / "robot"
    assets.mkdir(parents=True)
    (assets / "norm_stats.json").write_text(json.dumps({"norm_stats": {"actions": table}}))
    (wrong,) = named(audit_checkpoint(pi0), "A dimension without range")
    assert "dimensions [1]" in wrong.because


def test_licence_hints(pi0):
    (pi0 / "README.md").write_text("---\nlicense: gemma\n---\n# A policy\n")
    (pi0 / "LICENSE").write_text("Apache License\nVersion 2.0\n")
    hints = {fact.value for fact in audit_checkpoint(pi0).licences}
    assert {"gemma", "Apache License"} <= hints


def test_a_gap_in_the_layers_is_damage(tmp_path):
    tensors = recorded("diffusers_wan_t2v").tensors
    gap = {key.replace("blocks.1.", "blocks.4."): shape for key, shape in tensors.items()}
    found = audit_checkpoint(write_checkpoint(tmp_path, gap))
    assert (
        "layers [1, 2, 3] are missing"
        in named(found, "The files are damaged or incomplete")[0].because
    )


def test_forms_that_are_not_read_are_listed(pi0):
    (pi0 / "model.gguf").write_bytes(b"GGUF")
    assert audit_checkpoint(pi0).unread == ("model.gguf",)


@pytest.mark.parametrize(
    ("count", "words"), [(15_706, "15,706"), (417_000_000, "417 M"), (2_923_000_000, "2.92 B")]
)
def test_numbers_of_parameters_in_words(count, words):
    assert scaled(count) == words


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.links = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ("src", "href")]


@pytest.mark.parametrize(
    "name", ["policy_lerobot_pi0", "policy_fastwam", "transformers_t5", "diffusers_unet2d"]
)
def test_page_is_one_file_that_runs_nothing(name, tmp_path):
    audit = audit_checkpoint(write_recorded(tmp_path, name))
    page = Page()
    page.feed(checkpoint_page(audit, "body { margin: 0 }"))
    assert "script" not in page.tags
    assert page.links == ["data:,"]


def test_page_shows_foreign_text_as_text(tmp_path):
    evil = "<script>alert(1)</script>"
    write_checkpoint(tmp_path, {evil: [2]}, {"type": evil, "chunk_size": evil})
    text = checkpoint_page(audit_checkpoint(tmp_path), "")
    assert evil not in text
    assert "&lt;script&gt;" in text


def test_command_prints_the_family_and_writes_page_and_json(pi0, tmp_path, capsys):
    page = tmp_path / "audit.html"
    assert run(["audit", "checkpoint", str(pi0), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("VLA: A language-to-action (VLA) policy: pi0")
    assert str(page) in said
    assert "--paper:" in page.read_text(), "the page has the style of the report"
    assert run(["audit", "checkpoint", str(pi0), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["family"] == "VLA"
    assert told["parts"][0].keys() == {"where", "part", "tensors", "parameters", "share"}


def test_command_ends_in_one_when_nothing_can_be_told(tmp_path, capsys):
    assert run(["audit", "checkpoint", str(tmp_path)]) == 1
    assert re.match("cannot tell: ", capsys.readouterr().out)
    assert run(["audit", "checkpoint", str(tmp_path / "absent")]) == 2


@pytest.mark.parametrize(("recipe", "family"), [(PI0_RECIPE, "VLA"), (FAST_WAM, "WAM")])
def test_a_policy_of_ours_is_told_by_its_manifest(recipe, family, tmp_path):
    save_policy(tmp_path, droid_policy(recipe), {})
    found = audit_checkpoint(tmp_path)
    assert found.family == family
    assert recipe.name in found.headline
    assert "the action sees" in found.couples
    assert {"action expert"} < {part.part for part in found.parts}
    assert sum(part.parameters for part in found.parts) == found.parameters
    assert ("actions: gripper", "close_positive") in {(f.label, f.value) for f in found.facts}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["tensors"].popitem(), "is not in the manifest"),
        (lambda m: m["tensors"].update(extra=[3]), "'extra' is missing in the weights"),
        (lambda m: m["tensors"].update(dict.fromkeys(m["tensors"], (1, 2, 3))), "has shape"),
        (lambda m: m.update(recipe={"name": "other"}), "recipe in manifest.json cannot be read"),
        (lambda m: m.update(recipe=7), "recipe in manifest.json cannot be read"),
    ],
)
def test_a_manifest_that_does_not_fit_its_weights_tells_nothing(change, words, tmp_path):
    save_policy(tmp_path, droid_policy(FAST_WAM), {})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    found = audit_checkpoint(tmp_path)
    assert found.family == "cannot tell"
    assert words in found.headline


def test_a_base_install_tells_the_family_and_says_what_the_page_needs(pi0):
    asked = ["audit", "checkpoint", str(pi0)]
    code = f"from vertebra.cli.entry import run\nassert run({asked!r}) == 0\n"
    code += f"assert run({[*asked, '--html', str(pi0 / 'page.html')]!r}) == 2\n"
    done = run_without(not_in_base(), code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VLA: ")
    assert "pip install 'vertebra[report]'" in done.stderr
