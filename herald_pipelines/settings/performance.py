"""What herald.yaml may say of the performance of queries: when one is slow, slower or heavy, and what is kept."""

from typing import Annotated

from pydantic import AfterValidator

from herald_pipelines.settings.fields import Duration, Model, Number, Range, Seconds, Switch, Whole

Share = Annotated[Number, AfterValidator(Range(0, 1))]


class PerformanceSettings(Model):
    """Thresholds of the analysis of statements."""

    slow_seconds: Duration = 1.0
    """Mean of a call above which a query is slow (the seed's 1000 ms)."""
    min_calls: Annotated[Whole, AfterValidator(Range(1, 2**31 - 1))] = 10
    """Calls in the window and in the baseline from which on two means are compared."""
    regression_ratio: Annotated[Number, AfterValidator(Range(1.01, 1000))] = 2.0
    """Times the baseline's mean above which a query became slower."""
    regression_seconds: Seconds = 0.005
    """What a call must take longer at least: below it, ratios are noise."""
    regression_share: Share = 0.01
    """Share of all execution time that a regression must cost."""
    heavy_share: Share = 0.05
    """Share of all execution time from which on a query that came or went is told of."""
    baseline_days: Annotated[Whole, AfterValidator(Range(1, 366))] = 28
    """Days that a new baseline is made of: four whole weeks."""
    keep_days: Annotated[Whole, AfterValidator(Range(1, 3660))] = 90
    """Days that what was counted is kept."""
    explain: Switch = True
    """Whether the plans of what was found are asked for, on PostgreSQL 16 and later."""
