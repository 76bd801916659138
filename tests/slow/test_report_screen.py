"""The first screen as PNG and PDF, by the browser that is installed."""

import pytest
from PIL import Image

from fakes.chromium import find_chromium
from fakes.run import write_run
from vertebra.cli.entry import run as command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed"),
]


def test_the_first_screen_is_drawn_and_nothing_else(tmp_path, capsys):
    out = write_run(tmp_path / "run", pictures=False, counts=(800,), scenes=(6, 2, 2))
    png, pdf = tmp_path / "first.png", tmp_path / "first.pdf"
    assert command(["report", str(out), "--png", str(png), "--pdf", str(pdf)]) == 0
    assert capsys.readouterr().out.split() == [str(png), str(pdf), str(out / "report.html")]
    with Image.open(png) as image:
        assert image.width == 2560 and 1200 < image.height < 3600
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 100
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF") and content.count(b"/Type /Page\n") <= 1
