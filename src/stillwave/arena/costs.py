"""The costs of systems as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stillwave.arena.systems import SystemCost
from stillwave.reports.formatting import NO_VALUE, count
from stillwave.reports.markup import markdown_table

HEADER = ("system", "parameters", "MAC/s", "CPU time", "× fastest", "delay")


def relative(costs: Mapping[str, SystemCost]) -> dict[str, float]:
    """Return the CPU time of each system relative to that of the fastest, where it was measured.

    Examples:
        >>> relative({"a": SystemCost(cpu_ratio=0.02), "b": SystemCost(cpu_ratio=0.05), "c": SystemCost()})
        {'a': 1.0, 'b': 2.5}

    """
    known = {system: cost.cpu_ratio for system, cost in costs.items() if cost.cpu_ratio}
    least = min(known.values(), default=1.0)
    return {system: ratio / least for system, ratio in known.items()}


def cells(costs: Mapping[str, SystemCost]) -> dict[str, tuple[str, ...]]:
    """Return the cells of each system, in the order of `HEADER` after the name; a dash for what is not known.

    Examples:
        >>> cells({"a": SystemCost(47_900, 33.7e6, 32.0, 0.0077), "b": SystemCost()})
        {'a': ('47.9 k', '33.7 M', '0.77 %', '1.0', '32.0 ms'), 'b': ('–', '–', '–', '–', '–')}

    """
    ratios = relative(costs)
    return {
        system: (
            count(cost.parameters),
            count(cost.macs_per_second),
            NO_VALUE if cost.cpu_ratio is None else f"{100 * cost.cpu_ratio:.2f} %",
            f"{ratios[system]:.1f}" if system in ratios else NO_VALUE,
            NO_VALUE if cost.delay_ms is None else f"{cost.delay_ms:.1f} ms",
        )
        for system, cost in costs.items()
    }


def known_cells(costs: Mapping[str, SystemCost]) -> dict[str, tuple[str, ...]]:
    """Return the cells, or nothing if no cost of any system is known, as of folders of outputs."""
    found = cells(costs)
    return found if any(cell != NO_VALUE for row in found.values() for cell in row) else {}


def markdown(costs: Mapping[str, SystemCost]) -> Iterator[str]:
    """Yield a heading and the lines of the table; nothing if no cost is known."""
    rows = [(system, *row) for system, row in known_cells(costs).items()]
    if rows:
        yield from ("", "## Cost", "", *markdown_table(HEADER, rows))
