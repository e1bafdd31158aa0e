"""Keep intervals such as `[1.325, 1.584]` in tables on one line; mkdocs calls `on_page_content` for each page."""

from __future__ import annotations

import re
from typing import Any

_CELL = re.compile(r"<td\b.*?</td>", re.DOTALL)
_INTERVAL = re.compile(r"\[([-+−]?[\d.]+), ([-+−]?[\d.]+)\]")


def on_page_content(content: str, **_: Any) -> str:
    """Return the page's HTML with a no-break space in each interval of a table."""
    return _CELL.sub(lambda cell: _INTERVAL.sub(r"[\1,&nbsp;\2]", cell[0]), content)
