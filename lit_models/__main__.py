"""`python -m lit_models`: the `lightning` command."""

import sys

from lit_models.command import main

sys.exit(main())
