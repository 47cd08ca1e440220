"""`python -m p2o` is the command `p2o`."""

import sys

from p2o.cli.main import main

sys.exit(main())
