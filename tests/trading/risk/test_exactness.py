"""No float decides about money, and nobody but the gate approves."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3] / "trading"
EXACT = sorted(
    path
    for folder in ("orders", "risk", "accounting", "routing")
    for path in (ROOT / folder).glob("*.py")
    if path.name != "var.py"
)


@pytest.mark.parametrize("path", EXACT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_there_are_no_floats(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        place = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), place
        assert not (isinstance(node, ast.Name) and node.id == "float"), place
        assert not (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)), place


def test_only_the_gate_makes_an_approved() -> None:
    makers = [
        path.name
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Approved"
    ]
    assert makers == ["gate.py"]
