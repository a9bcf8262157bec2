"""``python -m adql_services`` is ``adql``."""

import sys

from adql_services.cli import main

if __name__ == "__main__":
    sys.exit(main())
