"""`python -m orchestration` is `trade`; it does not depend on where a console script was installed."""

from orchestration.cli import main

if __name__ == "__main__":
    main()
