"""`python -m stochcore` is the command `stochcore`."""

import sys

from .cli import main

sys.exit(main())
