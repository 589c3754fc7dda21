"""Medians, spread and ratios of samples."""

import statistics


def summary(samples):
    """Median, extremes and quartiles of a list of figures."""
    ordered = sorted(samples)
    quartiles = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    return {
        "samples": list(samples),
        "median": statistics.median(ordered),
        "min": ordered[0],
        "max": ordered[-1],
        "quartiles": [quartiles[0], quartiles[2]],
    }


def ratio(mode, native):
    """Ratio of the medians, and the extremes of the ratios of single rounds (which ran next to each other)."""
    rounds = [b / a for a, b in zip(native["samples"], mode["samples"]) if a]
    if not rounds or not native["median"]:
        return None
    return {"ratio": mode["median"] / native["median"], "min": min(rounds), "max": max(rounds)}


def figure(value):
    """A number as a reader wants it: four significant digits, large ones with separators."""
    if value is None:
        return "-"
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    if magnitude >= 100:
        return f"{value:.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if magnitude >= 1 or value == 0 else f"{value:.3f}"
