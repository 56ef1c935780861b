"""Strategies: what they are told, what they may ask for, and two examples."""
