"""Shared by all tests: helpers in ``tests/`` itself can be imported, and Hypothesis has one profile."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("livemig", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("livemig")
