"""Text with a unit is read exactly, and written so that it reads back to the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.config.units import BYTE_RATE, DIMENSIONS, FREQUENCY, LINK_RATE, SIZE, TIME


@pytest.mark.parametrize(
    ("dimension", "text", "value"),
    [
        (TIME, "0ns", 0),
        (TIME, "1.5ms", 1_500_000),
        (TIME, "500 ms", 500_000_000),
        (TIME, "-3ms", -3_000_000),
        (TIME, "+2us", 2_000),
        (TIME, "0.000000001s", 1),
        (TIME, "2min", 120_000_000_000),
        (TIME, "1h", 3_600_000_000_000),
        # 0.1 + 0.2 s and 2^53 + 1 ns: neither would survive a float.
        (TIME, "0.3s", 300_000_000),
        (TIME, "9007199.254740993s", 9_007_199_254_740_993),
        (SIZE, "4KiB", 4_096),
        (SIZE, "0.5MiB", 524_288),
        (SIZE, "64GiB", 68_719_476_736),
        (FREQUENCY, "16.6MHz", 16_600_000),
        (FREQUENCY, "2.5GHz", 2_500_000_000),
        (LINK_RATE, "1Gbit/s", 1_000_000_000),
        (LINK_RATE, "56kbit/s", 56_000),
        (BYTE_RATE, "20MiB/s", 20_971_520),
    ],
)
def test_quantities_are_read_exactly(dimension, text, value):
    assert dimension.parse(text) == value


@given(whole=st.integers(0, 10**9), micros=st.text("0123456789", min_size=1, max_size=6))
def test_decimals_of_a_millisecond_are_nanoseconds(whole, micros):
    assert TIME.parse(f"{whole}.{micros}ms") == whole * 1_000_000 + int(micros.ljust(6, "0"))


@pytest.mark.parametrize(
    ("dimension", "text", "problem"),
    [
        (TIME, "1.5ns", "not a whole number of ns"),
        (SIZE, "0.3KiB", "not a whole number of B"),
        (FREQUENCY, "0.5Hz", "not a whole number of Hz"),
        (TIME, "5", "no unit of time"),
        (TIME, "5 sec", "no unit of time"),
        (TIME, "5MS", "no unit of time"),
        (SIZE, "64MB", "no unit of size"),
        (LINK_RATE, "1MiB/s", "no unit of link rate"),
        (BYTE_RATE, "50MiB", "no unit of byte rate"),
        (TIME, "", "not a number"),
        (TIME, "ms", "not a number"),
        (TIME, "1e3ms", "not a number"),
        (TIME, "1,5ms", "not a number"),
        (TIME, ".5ms", "not a number"),
        (TIME, "0x10ms", "not a number"),
        (TIME, "--1ms", "not a number"),
        (TIME, " 1ms", "not a number"),
        (TIME, "1ms\n", "not a number"),
        (TIME, "٣ms", "not a number"),
        (TIME, "1" * 25 + "ns", "not a number"),
    ],
)
def test_what_is_no_quantity_is_refused(dimension, text, problem):
    with pytest.raises(ValueError, match=problem):
        dimension.parse(text)


@pytest.mark.parametrize(
    ("dimension", "value", "text"),
    [
        (TIME, 0, "0ns"),
        (TIME, 999, "999ns"),
        (TIME, 1_500, "1.5us"),
        (TIME, 500_000_000, "500ms"),
        (TIME, -3_000_000, "-3ms"),
        (TIME, 1_000_000_001, "1000000.001us"),
        (TIME, 3_600_000_000_000, "1h"),
        (SIZE, 1_536 << 20, "1.5GiB"),
        (FREQUENCY, 16_600_000, "16.6MHz"),
        (LINK_RATE, 1_005_000_000, "1.005Gbit/s"),
        (BYTE_RATE, 1_025, "1025B/s"),
    ],
)
def test_the_largest_unit_with_few_decimals_is_written(dimension, value, text):
    assert dimension.format(value) == text


@given(dimension=st.sampled_from(DIMENSIONS), value=st.integers(-(2**70), 2**70))
def test_what_is_written_reads_back(dimension, value):
    assert dimension.parse(dimension.format(value)) == value
