"""Judging traffic shares by an exact binomial bound instead of a guessed tolerance.

A proxy that sends each request to a target with probability p sends k of n requests there with
k ~ Binomial(n, p). A share is wrong when k lies where a right one would land with a probability
below the false-alarm probability that the caller states.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_FALSE_ALARM = 1e-6


@dataclass(frozen=True, slots=True)
class ShareVerdict:
    """What was wanted of one target, what was seen, and whether both go together."""

    target: str
    wanted: float
    """The wanted share, 0 to 1."""
    seen: int
    """Requests that the target answered."""
    total: int
    """Requests that were sent in all."""
    lowest: int
    """The smallest count that the bound accepts."""
    highest: int
    """The largest count that the bound accepts."""

    @property
    def share(self) -> float:
        """The share that was seen, 0 to 1."""
        return self.seen / self.total if self.total else 0.0

    @property
    def ok(self) -> bool:
        """Whether the count lies within the bound."""
        return self.lowest <= self.seen <= self.highest

    def __str__(self) -> str:
        word = "ok" if self.ok else "wrong"
        return (
            f"{self.target}: wanted {self.wanted:.1%}, seen {self.share:.1%} "
            f"({self.seen} of {self.total}, accepted {self.lowest} to {self.highest}): {word}"
        )


def binomial_bounds(
    total: int, probability: float, false_alarm: float = DEFAULT_FALSE_ALARM
) -> tuple[int, int]:
    """The narrowest counts whose tails each hold at most half of `false_alarm`.

    Args:
        total: the number of draws, at least 0.
        probability: the probability of each draw, 0 to 1.
        false_alarm: the accepted probability that a right draw falls outside, above 0 and below 1.

    Raises:
        ValueError: an argument is out of its range.
    """
    if total < 0:
        raise ValueError(f"total is {total}; give the number of draws, 0 or more")
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability is {probability}; give a number from 0 to 1")
    if not 0.0 < false_alarm < 1.0:
        raise ValueError(f"false_alarm is {false_alarm}; give a number above 0 and below 1")
    lowest = _lower_bound(total, probability, false_alarm / 2)
    highest = total - _lower_bound(total, 1.0 - probability, false_alarm / 2)
    return lowest, highest


def judge_shares(
    wanted: Mapping[str, float],
    counts: Mapping[str, int],
    false_alarm: float = DEFAULT_FALSE_ALARM,
) -> list[ShareVerdict]:
    """Compare the counts with the wanted shares, one verdict per target.

    Args:
        wanted: a weight per target, in any unit (80 and 20, or 0.8 and 0.2).
        counts: how many requests each target answered; a target that nobody wanted gets the
            share 0, so that a single stray request is wrong.
        false_alarm: the probability that right shares are called wrong, for all targets together
            (each target gets its part: Bonferroni's inequality).

    Raises:
        ValueError: the weights are negative or add up to nothing.
    """
    weights = sum(wanted.values())
    if weights <= 0 or min(wanted.values()) < 0:
        raise ValueError(f"the wanted weights are {dict(wanted)}; give weights above 0")
    total = sum(counts.values())
    targets = [*wanted, *sorted(set(counts) - set(wanted))]
    verdicts: list[ShareVerdict] = []
    for target in targets:
        share = wanted.get(target, 0) / weights
        lowest, highest = binomial_bounds(total, share, false_alarm / len(targets))
        verdicts.append(ShareVerdict(target, share, counts.get(target, 0), total, lowest, highest))
    return verdicts


def _lower_bound(total: int, probability: float, tail: float) -> int:
    """The smallest k with P(X < k + 1) > tail: everything below k is too unlikely."""
    if probability == 0.0:
        return 0
    if probability == 1.0:
        return total
    log_hit, log_miss = math.log(probability), math.log1p(-probability)
    log_all = math.lgamma(total + 1)
    below = 0.0
    for count in range(total + 1):
        below += math.exp(
            log_all
            - math.lgamma(count + 1)
            - math.lgamma(total - count + 1)
            + count * log_hit
            + (total - count) * log_miss
        )
        if below > tail:
            return count
    return total
