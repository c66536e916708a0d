"""The driver's sheet as a page of HTML, which shows the pictures that lie beside it. All text is escaped."""

from __future__ import annotations

from html import escape

from pipeline.enforcement.sheet import Block, Code, Facts, Heading, Pictures, Sheet, Shown, Steps, Text, Title

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body{{font:15px/1.45 Helvetica,Arial,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#111}}
h1{{font-size:1.7em;margin:0 0 .4em}}h2{{font-size:1.15em;margin:1.4em 0 .4em}}p{{margin:.5em 0}}
table{{border-collapse:collapse;width:100%}}
td{{padding:.28em .6em .28em 0;vertical-align:top;border-bottom:1px solid #ccc}}
.facts td:first-child{{color:#555;width:11em}}.facts td{{border:0}}.steps td:nth-child(2){{color:#555}}
.steps td:last-child{{text-align:right;white-space:nowrap;padding-right:0}}
.pictures{{display:flex;gap:1em}}figure{{flex:1;margin:.6em 0;min-width:0}}figure img{{width:100%}}
figcaption{{font-size:.87em;color:#333}}.none{{background:#eee;padding:3em 1em;text-align:center}}
code{{display:block;background:#f2f2f2;padding:.5em;overflow-wrap:anywhere}}
@page{{size:A4;margin:15mm}}@media print{{body{{margin:0;max-width:none;font-size:10pt}}}}
</style></head><body>
"""


def page(sheet: Sheet) -> bytes:
    """The page, UTF-8."""
    title = next((block.text for block in sheet if isinstance(block, Title)), "")
    blocks = "\n".join(map(_block, sheet))
    return f"{_HEAD.format(title=escape(title))}{blocks}\n</body></html>\n".encode()


def _block(block: Block) -> str:  # noqa: PLR0911 (one for each kind)
    match block:
        case Title(text):
            return f"<h1>{escape(text)}</h1>"
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Code(text):
            return f"<code>{escape(text)}</code>"
        case Pictures(pictures):
            return f'<div class="pictures">{"".join(map(_figure, pictures))}</div>'
        case Facts(rows):
            return _table("facts", rows)
        case Steps(rows):
            return _table("steps", rows)


def _table(kind: str, rows: tuple[tuple[str, ...], ...]) -> str:
    lines = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}">\n{lines}\n</table>'


def _figure(shown: Shown) -> str:
    caption = escape(shown.caption)
    image = '<div class="none">no picture</div>'
    if shown.part is not None:
        image = f'<img src="{escape(shown.part)}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
