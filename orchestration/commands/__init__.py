"""What each `trade` command does. `orchestration.cli` imports a module of this package only to run it."""
