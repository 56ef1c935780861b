"""Lots, cost and profit in exact integers."""
