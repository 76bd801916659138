"""A whole pilot on the table-top, on released models that the libraries themselves saved."""

import importlib.util
from pathlib import Path

import pytest

from checks.released import save_paligemma, save_wan
from vertebra.cli.entry import run
from vertebra.spec.storage import read_json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("diffusers") is None,
        reason="needs transformers and diffusers: pip install 'vertebra[backbones]'",
    ),
]


def test_a_pilot_on_two_released_models_ends_in_a_report_that_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, made = save_paligemma(tmp_path / "seen"), save_wan(tmp_path / "made")
    out = tmp_path / "runs" / "pilot"
    words = ["pilot", "--vlm", str(seen), "--video", str(made), "--out", str(out)]
    words += ["--recipes", "pi0", "fast-wam", "--demos", "6", "--seeds", "1", "--samples", "64"]
    words += ["--scenes", "2", "--size", "tiny", "--twins", "none", "--workers", "1"]
    assert run(words) == 0, capsys.readouterr().err
    report = out / "report.html"
    assert capsys.readouterr().out.strip().endswith(str(report))
    page = report.read_text()
    standing = read_json(out / "plan.json")["backbone"]["standing"]
    for what, family in (("vlm", "paligemma"), ("video", "wan")):
        assert standing[what]["family"] == family
        assert family in page
        assert standing[what]["sha256"][:12] in page
    results = sorted(path.parent.name for path in out.glob("jobs/*/result.json"))
    assert results == ["fast-wam-n6-s0", "pi0-n6-s0"]
    assert list((out.parent / "latents").rglob("*.safetensors")), "no latent was kept"
