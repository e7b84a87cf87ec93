"""Tests of the reserved blocks of loopback addresses."""

import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.errors import HarnessError


def test_a_service_gets_three_addresses_of_the_block(block: AddressBlock):
    first, second = block.reserve_service(), block.reserve_service()

    assert (first.listener, first.application, first.admin) == (
        f"{block.prefix}.11",
        f"{block.prefix}.91",
        f"{block.prefix}.171",
    )
    assert second.listener == f"{block.prefix}.12"


def test_the_same_port_can_be_bound_in_two_blocks(block: AddressBlock):
    with AddressBlock() as other, socket.socket() as one, socket.socket() as two:
        one.bind((block.address(2), 8080))
        two.bind((other.address(2), 8080))


def test_many_blocks_at_once_are_all_different():
    with ExitStack() as stack:
        prefixes = [stack.enter_context(AddressBlock()).prefix for _ in range(100)]

        assert len(set(prefixes)) == 100


def test_no_block_holds_the_machines_own_addresses(block: AddressBlock):
    assert not block.prefix.startswith("127.0.")


def test_another_process_cannot_take_a_held_block(
    block: AddressBlock, monkeypatch: pytest.MonkeyPatch
):
    _, second, third = block.prefix.split(".")
    attempt = (
        "import pytest_meshwright.addresses as a, random\n"
        f"random.SystemRandom.choice = lambda *_: {second}\n"
        f"random.SystemRandom.randrange = lambda *_: {third}\n"
        "a.AddressBlock()\n"
    )

    outcome = subprocess.run(
        [sys.executable, "-c", attempt], capture_output=True, text=True, check=False
    )

    assert "found no free block of loopback addresses" in outcome.stderr


def test_a_block_given_back_can_be_taken_again(monkeypatch: pytest.MonkeyPatch):
    block = AddressBlock()
    _, second, third = block.prefix.split(".")
    monkeypatch.setattr("random.SystemRandom.choice", lambda *_: int(second))
    monkeypatch.setattr("random.SystemRandom.randrange", lambda *_: int(third))
    block.close()

    with AddressBlock() as again:
        assert again.prefix == block.prefix


def test_the_81st_service_is_told_to_use_a_second_lab(block: AddressBlock):
    for _ in range(80):
        block.reserve_service()

    with pytest.raises(HarnessError, match="use a second lab"):
        block.reserve_service()
