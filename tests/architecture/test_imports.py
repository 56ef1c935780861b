"""Imports keep their directions; and each checker finds what is planted for it."""

import pytest

from tests.architecture import directions
from tests.architecture.directions import LAYERS, layer_of
from tests.architecture.sources import Module, planted, product


def test_every_import_of_ours_goes_the_right_way() -> None:
    found = directions.check(product())
    assert not found, "\n" + "\n".join(found)


def test_the_table_names_only_what_exists_or_is_planned() -> None:
    entries = [entry for line in LAYERS for entry in line]
    assert len(entries) == len(set(entries))
    assert layer_of("trading.ids") == 0
    assert layer_of("trading.risk.var") == layer_of("trading.risk")
    assert layer_of("somewhere.else") is None


@pytest.mark.parametrize(
    ("sources", "finding"),
    [
        ({"trading__new": ""}, "trading/new.py: list it in LAYERS"),
        ({"trading__orders__a": "import time"}, "trading.orders.a -> time"),
        ({"trading__orders__a": "def f():\n    import os.path"}, "trading.orders.a -> os.path"),
        ({"trading__orders__a": "import numpy as np"}, "amounts are integers"),
        ({"trading__market__a": "from trading.orders import b", "trading__orders__b": ""}, "imports point down"),
        ({"trading__ids": "from streaming.settings import load", "streaming__settings": ""}, "point down to trading"),
        ({"streaming__flows__a": "from streaming.flows import b", "streaming__flows__b": ""}, "meet only on topics"),
        ({"streaming__adapters__a": "import faust"}, "adapters are doors"),
        (
            {"streaming__worker": "import streaming.platform", "streaming__platform": "import pandas.core"},
            "streaming.worker -> streaming.platform -> pandas.core: a worker starts fast",
        ),
        (
            {"orchestration__a": "from streaming.adapters.lake import x", "streaming__adapters__lake": "import faust"},
            "orchestration.a -> streaming.adapters.lake -> faust: Dagster never loads Faust",
        ),
        (
            {"orchestration__a": "from streaming import status", "streaming__status": ""},
            "of streaming, orchestration sees",
        ),
        ({"streaming__status": "import deltalake"}, "streaming.bench.sink may import deltalake"),
        ({"trading__ids": "from dagster import asset"}, "only orchestration may import dagster"),
        ({"models__train": "import mlflow"}, "the science is plain functions"),
        ({"streaming__status": "from tests.fakes import F"}, "product code knows no tests"),
        ({"trading__orders__a": "def f(): return Approved(1)"}, "only the risk gate constructs Approved"),
        (
            {"streaming__flows__a": "from trading.ids import b", "trading__ids": "import streaming.flows.a"},
            "streaming.flows.a -> trading.ids -> streaming.flows.a: a cycle",
        ),
    ],
)
def test_a_planted_breach_is_found(sources: dict[str, str], finding: str) -> None:
    found = directions.check(planted(**sources))
    assert any(finding in line for line in found), found


@pytest.mark.parametrize(
    "sources",
    [
        {"trading__market__a": "import numpy as np\nfrom trading.ids import x", "trading__ids": ""},
        {"streaming__bench__a": "import pandas"},
        {"orchestration__a": "from streaming.settings import load", "streaming__settings": ""},
        {"trading__risk__gate": "class Approved: ...\ndef f(): return Approved()"},
        {"streaming__lane": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dagster"},
        {"streaming__flow": "def f():\n    import streaming.status", "streaming__status": ""},
    ],
)
def test_what_is_allowed_is_not_found(sources: dict[str, str]) -> None:
    assert [line for line in directions.check(planted(**sources)) if "point down (LAYERS)" not in line] == []


def test_relative_imports_are_resolved() -> None:
    package = Module("streaming.flows", "streaming/flows/__init__.py", "from . import a")
    inner = Module("streaming.flows.a", "streaming/flows/a.py", "from ..adapters import lake")
    assert package.imports == {"streaming.flows.a"}
    assert inner.imports == {"streaming.adapters.lake"}
