"""Pre-trade risk: limits, exposure, rules, VaR and the gate."""
