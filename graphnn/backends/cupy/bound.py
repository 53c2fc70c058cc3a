"""A plan bound to kernels and to memory on the device, for one set of sizes.

A step without a kernel runs on NumPy: its operands are brought to the host, and its results are sent back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.leaf import Input
from ...ir.node import Call
from ...plan.checking import checking
from ...plan.memory import Plan
from ...plan.usage import whole
from ..works import Work
from .check import checked_run
from .copies import copy_of
from .device import Device, Ready
from .lower import Launched
from .lowered import Checks, Lowered
from .mirror import Mirror
from .site import Multiply, Site
from .writer import Kernel

__all__ = ["Bound", "Room"]


@dataclass(frozen=True)
class Room:
    """The memory of a program: its arena and its status.

    `arena` is the arena on the host, and `memory` the one on the device that mirrors it. `status` is memory of the
    device. Its first word is 0, or the code of the check that has stopped the program.
    """

    arena: np.ndarray
    memory: Any
    status: Any


class Bound(Lowered):
    """A program's plan for one set of sizes, as launches and NumPy calls in order."""

    def __init__(
        self,
        plan: Plan,
        room: Room,
        sizes: dict[str, int],
        check: str | None,
        device: Device,
        precision: str = "float32",
    ) -> None:
        library = None if isinstance(device.library, str) else device.library
        self.device, self.room = device, room
        self.mirror = Mirror(device)
        self.mirror.add(room.arena, room.memory)
        self.mirror.keep(device.workspace_twin, device.workspace)
        copies = {parameter: copy_of(parameter, device) for parameter in plan.graph.parameters.values()}
        self._copies = list(copies.values())
        self._updated = [copies[parameter] for parameter in plan.graph.updates]
        for held in self._copies:
            self.mirror.add(held.array, held.memory)
        site = Site(self.mirror.address, device.workspace_twin, library, precision, self._may_fold(plan, check))
        super().__init__(plan, room.arena, sizes, check, site, Checks())
        self.device.compile(self.kernels())
        self.before = self._ready(self.works_before)
        self.after = self._ready(self.works_after)
        self.unchecked = checking()

    @staticmethod
    def _may_fold(plan: Plan, check: str | None) -> bool:
        """May a product of the library update a parameter? Not where a check could fail after the outputs are taken."""
        sizes = dict.fromkeys(plan.graph.sizes, 1)
        labels = (step.node.class_labels(sizes) for part in whole(plan) for step in part.steps)
        return check != "all" and all(not found or isinstance(found[0], Input) or found[0].static for found in labels)

    # Running -----------------------------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Does every step run in kernels, so that the program can be captured?"""
        return not any(work.calls for work in self.all_works)

    @property
    def products(self) -> list[Multiply]:
        """The products that the library computes. One that a loop repeats is listed once."""
        launched = (one for work in self.all_works for one in work.kernels)
        return list(dict.fromkeys(one for one in launched if isinstance(one, Multiply)))

    def kernels(self) -> dict[Kernel, list[str]]:
        """Each distinct kernel, with the ops of the steps that launch it."""
        found: dict[Kernel, list[str]] = {}
        for work in self.all_works:
            what = "check, or copy" if work.step is None else self.plan.steps[work.step].node.op
            for launch in work.kernels:
                if isinstance(launch, Multiply):
                    continue
                found.setdefault(launch.kernel, []).append(what)
        return found

    def _ready(self, works: Iterable[Work[Launched]]) -> list[list[Ready] | Work[Launched]]:
        """The works in order: lists of launches, and between them the works that run on NumPy."""
        parts: list[list[Ready] | Work[Launched]] = []
        for work in works:
            if work.calls:
                parts.append(work)
            elif work.kernels:
                if not parts or isinstance(parts[-1], Work):
                    parts.append([])
                run = parts[-1]
                assert isinstance(run, list)
                run += [self.device.ready(launch, self.room.status.ptr) for launch in work.kernels]
        return parts

    def send_parameters(self) -> None:
        """Send the parameters that the host has changed."""
        for held in self._copies:
            held.send()

    def note_updates(self) -> None:
        """Note that the device now has newer values of the updated parameters than the host."""
        for held in self._updated:
            held.updated()

    def fetch_updates(self) -> None:
        """If products of the library update parameters, fetch all updated parameters to the host."""
        if any(product.onto for product in self.products):
            for held in self._updated:
                held.fetch_for_writing()

    def send(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Send changed parameters and the inputs to the device, and reset the status."""
        self.send_parameters()
        self.device.upload(self.room.status.ptr, np.zeros(1, np.int64))
        self.feed(feeds)
        self.mirror.upload(self.arrays[node] for node in self.plan.graph.inputs.values())

    def run(self, parts: Iterable[list[Ready] | Work[Launched]]) -> None:
        """Run launches and NumPy calls in order.

        Raises:
            LabelError, NonFiniteError: from the check that stopped the program.
            BackendError: naming the node, when a NumPy call fails.
        """
        for part in parts:
            if isinstance(part, Work):
                self.look()
                self._on_host(part)
            else:
                self.device.run(part)
        self.look()

    def _on_host(self, work: Work[Launched]) -> None:
        self.mirror.download(work.operands)
        self.call(work)
        self.mirror.upload(work.results)

    def look(self) -> None:
        """Raise the error of the check that has stopped the program, if one has."""
        code = np.zeros(1, np.int64)
        self.device.download(code, self.room.status.ptr)
        if code[0]:
            self.stopped(int(code[0]))

    def stopped(self, code: int) -> None:
        """Raise the error of the check that left a code in the status."""
        work = self.checks.works[code]
        self.mirror.download(work.operands)
        self.fail(work)

    def step(self, feeds: Mapping[str, np.ndarray], take: Callable[[Sequence[np.ndarray]], None]) -> None:
        """Run once. `take` is called with the outputs, on the host, before updates are written to parameters."""

        def bring() -> None:
            self.mirror.download(self.outputs)
            take(self.outputs)

        self.run_step(feeds, bring)

    def run_step(self, feeds: Mapping[str, np.ndarray], take: Call) -> None:
        """Run once. `take` is called when the device has the outputs, before updates are written to parameters."""
        self.send(feeds)
        if self.unchecked:
            self.unchecked = False
            checked_run(self, take)
        else:
            self.run(self.before)
            take()
            self.run(self.after)
        self.note_updates()

    def kept(self, array: np.ndarray) -> Any:
        """A CuPy array with a copy of the values that the device has for an array of the host."""
        low, high = np.lib.array_utils.byte_bounds(array)
        begin = array.__array_interface__["data"][0] - low
        return self.device.keep(self.mirror.address(array) - begin, high - low, begin, array)

    @property
    def watching(self) -> list[list[Ready] | Work[Launched]]:
        """The launches that check whether the outputs are finite."""
        return self._ready(self.works_before[sum(map(len, self.works[: self.plan.outputs_done])) :])

    @property
    def landing(self) -> list[list[Ready] | Work[Launched]]:
        """The launches that copy updates into their parameters."""
        return self._ready(self.works_after[sum(map(len, self.works[self.plan.outputs_done :])) :])

    def by_step(self) -> list[list[list[Ready] | Work[Launched]]]:
        """For each step of the plan, its launches and NumPy calls, to be timed."""
        return [self._ready(group) for group in self.works]
