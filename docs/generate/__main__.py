"""Writes the generated parts of the pages: `python -m docs.generate`."""

from docs.generate.pages import PAGES, generated

for page in PAGES:
    text = generated(page)
    if text != page.read_text(encoding="utf-8"):
        page.write_text(text, encoding="utf-8")
        print(f"{page.name} was brought up to date")
