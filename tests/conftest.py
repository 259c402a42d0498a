"""What every test shares: how hard Hypothesis tries, and that its findings can be repeated.

`ci` draws the same examples every time; `dev` draws new ones at each run and prints the blob that repeats a failure.
Neither measures time, so that a busy machine fails nothing. HYPOTHESIS_PROFILE chooses; CI=true means `ci`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
