"""Loopback addresses of a lab's own, so that labs run side by side on the same ports.

Linux answers on all of 127.0.0.0/8 without set-up. A lab holds one block 127.A.B.0/24:

    .1           the guard: a bound socket that keeps the block from other processes
    .2 .. .9     the lab's own servers (DNS, control plane)
    .11 .. .90   listener addresses, one per service: Envoy's listeners
    .91 .. .170  application addresses: the application behind that Envoy
    .171 .. .250 admin addresses: that Envoy's admin page
"""

import errno
import random
import socket
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pytest_meshwright.errors import HarnessError

# Any port that nothing in a lab uses; it only has to be the same in all processes.
_GUARD_PORT = 9909
_GUARD_HOST = 1
_FIRST_SERVICE = 11
_SERVICES = 80
# 127.0 belongs to the machine (127.0.0.1, resolvers on 127.0.0.11 and 127.0.0.53); the rest of
# the low blocks are left to people's own habits.
_SECOND_NUMBERS = range(32, 224)
_TRIES = 500


@dataclass(frozen=True, slots=True)
class ServiceAddresses:
    """The three addresses of one service in a lab."""

    listener: str
    application: str
    admin: str


class AddressBlock:
    """A block 127.A.B.0/24 that no other process of this machine holds.

    The hold is a bound socket: taking it is atomic in the kernel, and it ends with the process,
    however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services = 0
        self.prefix, self._guard = _take_block()

    def address(self, host: int) -> str:
        """The address with that last number, 2 to 9 for a lab's own servers."""
        return f"{self.prefix}.{host}"

    def reserve_service(self) -> ServiceAddresses:
        """The next three addresses; a block has room for 80 services.

        Raises:
            HarnessError: all are taken.
        """
        with self._lock:
            if self._services == _SERVICES:
                raise HarnessError(
                    f"the block {self.prefix}.0/24 has room for {_SERVICES} services; "
                    "use a second lab for more"
                )
            host = _FIRST_SERVICE + self._services
            self._services += 1
        return ServiceAddresses(
            listener=self.address(host),
            application=self.address(host + _SERVICES),
            admin=self.address(host + 2 * _SERVICES),
        )

    def close(self) -> None:
        """Give the block back."""
        self._guard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"AddressBlock({self.prefix}.0/24)"


def _take_block() -> tuple[str, socket.socket]:
    # The system's randomness: tests may have seeded the global generator in all their processes.
    choose = random.SystemRandom()
    for _ in range(_TRIES):
        prefix = f"127.{choose.choice(_SECOND_NUMBERS)}.{choose.randrange(256)}"
        # Without SO_REUSEADDR a second bind fails for as long as the first socket lives.
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            guard.bind((f"{prefix}.{_GUARD_HOST}", _GUARD_PORT))
        except OSError as error:
            guard.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise HarnessError(
                f"cannot bind {prefix}.{_GUARD_HOST} ({error.strerror}): the harness needs all of "
                "127.0.0.0/8 on the loopback interface, as Linux has it"
            ) from error
        return prefix, guard
    raise HarnessError(
        f"found no free block of loopback addresses in {_TRIES} tries: "
        f"does something listen on 0.0.0.0:{_GUARD_PORT}?"
    )
