#!/usr/bin/env python3
"""Takes a picture of some sections of a page that `cra report` wrote.

usage: tools/picture.py PAGE.html OUT.png SECTION...      the sections by their ids, such as answer or slots

Needs Chromium and Pillow (Debian: chromium python3-pil).
"""
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image, ImageChops

WIDTH, HEIGHT, MARGIN = 1100, 8000, 24  # px; what is empty below is cut off


def main(page, out, *sections):
    text = pathlib.Path(page).read_text(encoding="utf-8")
    for section in sections:
        if f'<section id="{section}"' not in text:
            sys.exit(f"{page} has no section {section}")
    shown = ",".join(f"#{section}" for section in sections)
    style = f"<style>section:not({shown}),.choose{{display:none}}section:first-of-type h2{{border:0}}</style>"
    with tempfile.TemporaryDirectory() as folder:
        copy, shot = pathlib.Path(folder, "page.html"), pathlib.Path(folder, "shot.png")
        copy.write_text(text.replace("</head>", style + "</head>", 1), encoding="utf-8")
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                        f"--screenshot={shot}", f"--window-size={WIDTH},{HEIGHT}", copy.as_uri()],
                       check=True, capture_output=True)
        image = Image.open(shot).convert("RGB")
    background = Image.new("RGB", image.size, image.getpixel((0, HEIGHT - 1)))
    bottom = ImageChops.difference(image, background).getbbox()[3] + MARGIN
    image.crop((0, 0, WIDTH, min(HEIGHT, bottom))).quantize(256).save(out, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__.split("\n\n")[1])
    main(*sys.argv[1:])
