"""`python -m fauxvider`."""

from __future__ import annotations

from fauxvider.cli import main

if __name__ == "__main__":
    main()
