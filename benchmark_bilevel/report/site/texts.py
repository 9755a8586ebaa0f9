"""Numbers as texts: two digits, what is not known is a dash."""

import math

from benchmark_bilevel.report.look import power

DASH = "–"
LARGE = 1e6


def scientific(value, digits=2):
    """Such as ``"8.4·10⁻⁶"``, of one width in a column; ``"0"`` of zero."""
    if not _is_finite(value):
        return DASH
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.replace('-', '−')}·{power(int(exponent))}"


def plain(value, digits=4):
    """A number with as many decimals; two digits and a power if it is small or large."""
    if not _is_finite(value):
        return DASH
    if 0 < abs(value) < 10**-digits or abs(value) >= LARGE:
        return scientific(value)
    value = abs(value) if value == 0 else value  # no −0
    return f"{value:.{digits}f}".replace("-", "−")


def cost(value, axis):
    """Seconds or oracle calls, to two digits."""
    if not _is_finite(value):
        return DASH
    if axis != "seconds":
        return scientific(value)
    value = float(f"{value:.2g}")
    if value < 1e-5:
        return "< 10 µs"
    decimals = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{decimals}f} s"


def band(low, high, text, *options):
    """Such as ``"[0.4, 0.6]"``, with `text` for the numbers."""
    if not (_is_finite(low) and _is_finite(high)):
        return ""
    return f"[{text(low, *options)}, {text(high, *options)}]"


def listed(items, last="and"):
    """Such as ``"a, b and c"``."""
    *head, tail = items
    return f"{', '.join(head)} {last} {tail}" if head else tail


def _is_finite(value):
    return value is not None and math.isfinite(value)
