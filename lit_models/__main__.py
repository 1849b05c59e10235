"""`python -m lit_models`: the `lightning` command."""

import os
import sys

if sys.path and sys.path[0] in ("", os.getcwd()):
    sys.path.append(sys.path.pop(0))  # a user's own callbacks.py in this folder must not hide ours

from lit_models.command import main

sys.exit(main())
