"""From a template to one self-contained page.

Styles and scripts are part of the page. A content security policy allows just this script, by its digest, and no
connection at all: whatever a slide is called, nothing in its name can run, and no request leaves the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps

from smearscan.reports.pages import wording
from smearscan.reports.pages.files import href
from smearscan.results import HEAT_MAP_NOTICE, NOTICE

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, script: str, data: object, *, more_style: str | None = None, **names: Any) -> str:
    """Return the page that `template` makes; `data` is handed to `script` as JSON. `more_style` is what only this page needs."""
    code = _source(script)
    page = _environment().get_template(template)
    return page.render(
        **names,
        style=_source("style.css") + (_source(more_style) if more_style else ""),
        script=code,
        script_digest=_digest(code),
        data=htmlsafe_json_dumps(data, dumps=_dumps),
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"notice": NOTICE, "heat_map_notice": HEAT_MAP_NOTICE, "words": wording}
    environment.filters |= {"href": href}
    return environment


@cache
def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _digest(code: str) -> str:
    """Return what the page's policy calls the script; browsers hash the text between the tags."""
    return "sha256-" + base64.b64encode(hashlib.sha256(f"\n{code}".encode()).digest()).decode()


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
