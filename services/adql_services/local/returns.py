"""How a return is written, wherever a person reads one."""

FEWEST_DIGITS, MOST_DIGITS = 4, 17


def return_text(value: float, goal: float | None = None) -> str:
    """Returns ``value`` with four significant digits, and every digit before the point: 500, 139.4, 0.849, 12,346.

    It has as many more as it takes not to look like ``goal``, if it is another number.
    """
    digits = max(FEWEST_DIGITS, len(f"{abs(value):.0f}"))
    text = _written(value, digits)
    if goal is None or value == goal:
        return text
    while text == return_text(goal) and digits < MOST_DIGITS:
        digits += 1
        text = _written(value, digits)
    return text


def _written(value: float, digits: int) -> str:
    return f"{value + 0.0:,.{digits}g}"
