"""The first screen of a report as a picture: PNG or PDF, drawn by an installed Chromium.

The rest of the page is hidden in a copy; nothing is asked of the network.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageChops

from vertebra.spec.storage import write_bytes

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH, TALLEST = 1280, 6000
"""Pixels of the window; what is empty below the first screen is cut off."""
SCALE = 2
PATIENCE_S = 120
ONLY_FIRST = "section, footer, .basis-list { display: none !important } body { padding: 0 0 24px }"
FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--no-pdf-header-footer",
)


def find_browser() -> str:
    """Path of an installed Chromium.

    Raises:
        ValueError: When there is none; with what to install.
    """
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise ValueError(
            "A picture of the report is drawn by a Chromium browser, and none was found on the "
            f"PATH ({', '.join(BROWSERS)}). Install one, for example with `apt-get install "
            "chromium`, or print the page from the browser that you have."
        )
    return path


def draw_first_screen(page: Path, *, png: Path | None, pdf: Path | None) -> tuple[Path, ...]:
    """Draw the first screen of a written report.

    Args:
        page: The report.
        png: File to write, at twice the resolution of the screen.
        pdf: File to write, one page as large as the first screen.

    Returns:
        The files that were written.

    Raises:
        ValueError: When no browser is installed, or it draws nothing.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        text = page.read_text(encoding="utf-8")
        copy, shot = root / "first.html", root / "first.png"
        copy.write_text(_styled(text, ONLY_FIRST), encoding="utf-8")
        size = f"--window-size={WIDTH},{TALLEST}"
        _browse(browser, root, copy, size, f"--screenshot={shot}", needs=shot)
        height = _crop(shot)
        if png is not None:
            scaled = (f"--window-size={WIDTH},{height}", f"--force-device-scale-factor={SCALE}")
            _browse(browser, root, copy, *scaled, f"--screenshot={shot}", needs=shot)
            write_bytes(png, shot.read_bytes())
        if pdf is not None:
            paper = f"@page {{ size: {WIDTH}px {height + 80}px; margin: 0 }}"
            copy.write_text(_styled(text, ONLY_FIRST + paper), encoding="utf-8")
            printed = root / "first.pdf"
            _browse(browser, root, copy, f"--print-to-pdf={printed}", needs=printed)
            write_bytes(pdf, printed.read_bytes())
    return tuple(path for path in (png, pdf) if path is not None)


def _styled(text: str, style: str) -> str:
    return text.replace("</head>", f"<style>{style}</style></head>", 1)


def _browse(browser: str, root: Path, page: Path, *flags: str, needs: Path) -> None:
    """Run the browser once.

    Raises:
        ValueError: When it does not write the file; with its last words.
    """
    # A browser of the administrator does not start inside its own sandbox.
    sandbox: Sequence[str] = ("--no-sandbox",) if os.geteuid() == 0 else ()
    profile = f"--user-data-dir={root / 'profile'}"
    needs.unlink(missing_ok=True)
    try:
        done = subprocess.run(  # noqa: S603
            [browser, *FLAGS, *sandbox, profile, *flags, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        words = done.stderr[-400:]
    except subprocess.TimeoutExpired:
        words = f"it took more than {PATIENCE_S} s"
    if not needs.is_file():
        raise ValueError(f"{browser} drew nothing: {words}")


def _crop(shot: Path) -> int:
    """Height of what is drawn: down to the last row that is not like the bottom one."""
    with Image.open(shot) as image:
        picture = image.convert("RGB")
    empty = Image.new("RGB", picture.size, picture.getpixel((0, picture.height - 1)))
    box = ImageChops.difference(picture, empty).getbbox()
    return picture.height if box is None else min(picture.height, box[3] + 24)
