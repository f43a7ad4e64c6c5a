"""Campaigns: scenarios and faults drawn from a seed, run by the thousand, judged, grouped, shrunk."""
