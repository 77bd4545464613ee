"""``python -m etl`` is the same program as ``visitor-sync``."""

from etl.cli import main

if __name__ == "__main__":
    main()
