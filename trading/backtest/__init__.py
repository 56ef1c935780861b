"""Backtests: recorded messages through the same OMS, gate and paper venue that trade live."""
