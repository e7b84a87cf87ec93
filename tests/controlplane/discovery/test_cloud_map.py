"""Following services of AWS Cloud Map: what is known, when it is asked for, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from meshwright.discovery.cloud_map import CloudMap, DiscoveryError
from meshwright.translate.lookups import CloudMapService, Instance

COLOR = CloudMapService("demo.local", "color")
SHAPE = CloudMapService("demo.local", "shape")
ONE, TWO = Instance("10.0.0.1"), Instance("10.0.0.2")


class FakeAws:
    """Answers what a test sets; nothing set is a failure."""

    def __init__(self) -> None:
        self.instances: dict[CloudMapService, Sequence[Instance]] = {}
        self.asked: list[CloudMapService] = []

    def __call__(self, service: CloudMapService) -> Sequence[Instance]:
        """The instances that are set."""
        self.asked.append(service)
        if service not in self.instances:
            raise DiscoveryError("no answer")
        return self.instances[service]


def follow(test: Callable[[CloudMap, FakeAws], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        aws = FakeAws()
        cloud_map = CloudMap(aws, poll_seconds=0.001)
        try:
            await asyncio.wait_for(test(cloud_map, aws), 10)
        finally:
            await cloud_map.close()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_nothing_is_known_before_aws_answers():
    async def test(cloud_map: CloudMap, aws: FakeAws) -> None:
        aws.instances[COLOR] = [ONE]
        cloud_map.need([COLOR])

        assert cloud_map.find_instances(COLOR) is None

    follow(test)


def test_a_change_is_told_once():
    told: list[CloudMapService] = []

    async def test(cloud_map: CloudMap, aws: FakeAws) -> None:
        cloud_map.watch(told.append)
        aws.instances[COLOR] = [ONE]
        cloud_map.need([COLOR])
        await until(lambda: cloud_map.find_instances(COLOR) == (ONE,))
        aws.instances[COLOR] = [TWO, ONE]
        await until(lambda: cloud_map.find_instances(COLOR) == (ONE, TWO))
        rounds = len(aws.asked)
        await until(lambda: len(aws.asked) > rounds + 3)

    follow(test)

    assert told == [COLOR, COLOR]


def test_instances_outlive_an_outage_of_discovery():
    async def test(cloud_map: CloudMap, aws: FakeAws) -> None:
        aws.instances[COLOR] = [ONE]
        cloud_map.need([COLOR])
        await until(lambda: cloud_map.find_instances(COLOR) is not None)
        aws.instances.clear()
        await until(lambda: cloud_map.find_error(COLOR) == "no answer")

        assert cloud_map.find_instances(COLOR) == (ONE,)

    follow(test)


def test_an_answer_ends_the_error():
    async def test(cloud_map: CloudMap, aws: FakeAws) -> None:
        cloud_map.need([COLOR])
        await until(lambda: cloud_map.find_error(COLOR) != "")
        aws.instances[COLOR] = []
        await until(lambda: cloud_map.find_instances(COLOR) == ())

        assert cloud_map.find_error(COLOR) == ""

    follow(test)


def test_one_slow_service_does_not_hold_up_another():
    async def test(cloud_map: CloudMap, aws: FakeAws) -> None:
        aws.instances[SHAPE] = [ONE]
        cloud_map.need([COLOR, SHAPE])
        await until(lambda: cloud_map.find_instances(SHAPE) == (ONE,))

    follow(test)


def test_a_service_that_nobody_needs_is_asked_for_no_longer_after_a_while():
    async def test(cloud_map: CloudMap, aws: FakeAws) -> None:
        aws.instances = {COLOR: [ONE], SHAPE: [TWO]}
        cloud_map.need([COLOR, SHAPE])
        await until(lambda: cloud_map.find_instances(COLOR) is not None)
        cloud_map.need([SHAPE])
        still_known = cloud_map.find_instances(COLOR)
        await until(lambda: cloud_map.find_instances(COLOR) is None)

        assert still_known == (ONE,)

    follow(test)


def test_a_service_that_is_needed_again_in_time_stays_known():
    async def test(cloud_map: CloudMap, aws: FakeAws) -> None:
        aws.instances = {COLOR: [ONE]}
        cloud_map.need([COLOR])
        await until(lambda: cloud_map.find_instances(COLOR) is not None)
        cloud_map.need([])
        cloud_map.need([COLOR])
        rounds = len(aws.asked)
        await until(lambda: len(aws.asked) > rounds + 20)

        assert cloud_map.find_instances(COLOR) == (ONE,)

    follow(test)
