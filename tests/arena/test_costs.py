"""The table of costs."""

from __future__ import annotations

from stillwave.arena.costs import known_cells, markdown
from stillwave.arena.systems import SystemCost


def test_the_table_has_units_and_ratios():
    costs = {"a": SystemCost(246_000, 341e6, 32.0, 0.02), "b": SystemCost(cpu_ratio=0.05), "c": SystemCost()}
    assert list(markdown(costs)) == [
        "",
        "## Cost",
        "",
        "| system | parameters | MAC/s | CPU time | × fastest | delay |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 246 k | 341 M | 2.00 % | 1.0 | 32.0 ms |",
        "| b | – | – | 5.00 % | 2.5 | – |",
        "| c | – | – | – | – | – |",
    ]


def test_folders_of_outputs_alone_have_no_table():
    costs = {"a": SystemCost(), "b": SystemCost()}
    assert known_cells(costs) == {}
    assert list(markdown(costs)) == []
