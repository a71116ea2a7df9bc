"""The only package that uses Dagster's internals: private modules, undocumented methods and Dagster's own tables.

Dagster may change any of them in a minor release. ``tested_version.py`` names the newest release that this code was
tested with; a newer release logs a warning at import. A test checks that no other package imports ``dagster._*``.
"""

import dagster as dg

from verifywise_mlflow.defs.dagster_compat.tested_version import warn_if_untested

warn_if_untested(dg.__version__)
