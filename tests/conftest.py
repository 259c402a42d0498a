"""What every test shares: how hard Hypothesis tries, and that its findings can be repeated.

`ci` draws the same examples every time; `dev` draws new ones at each run and prints the blob that repeats a failure.
`hunt` is `ci` for who only wants to know whether a test fails (simulations/mutants): it looks for no smaller example.
None measures time, so that a busy machine fails nothing. HYPOTHESIS_PROFILE chooses; CI=true means `ci`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile("dev", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(  # the same each time, so there is little in looking far; a nightly run does
    "ci", settings.get_profile("dev"), derandomize=True, database=None, max_examples=60
)
settings.register_profile(
    "hunt", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate), max_examples=100
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
