"""The driver: the kernels that call a tape's kernels one by one, and that run whole epochs. They suit every program.

An entry of a tape is two words: the address of a kernel, and the address of the words that are its arguments. The
kernel that runs epochs reads its arrays, its sizes and its position, an epoch and a step, from words as well (`loops`).
It writes the position back after every step. So Python can read how far a run has come, and can call the kernel again
to continue from there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from .types import DType, number, register_type
from .writer import Writer

__all__ = [
    "LOOP_WORDS", "RUN_WORDS", "finite_kernel", "gather_kernel", "loop_kernel", "move_words", "tape_kernel", "walk",
]  # fmt: skip

RUN_WORDS = (
    "gather", "gathers", "before", "befores", "after", "afters", "record", "records", "patch", "patches",
)  # fmt: skip
"""The words for the run of one batch. A name in the plural is the length of what the name before it points to.

- `gather`, `before`, `after`: the tapes that gather the batch, compute the outputs, and then update
- `record`: a table of (source, target, bytes of one value), an entry for each scalar output that is recorded
- `patch`: a table of (address of a word, base, bytes of a row), an entry for each word that holds an address in the
  data; before a batch the word is set to base + bytes of a row * first sample of the batch
"""

LOOP_WORDS = (
    "epochs", "steps", "size", "samples", "shuffled", "full", "odd", "last", "budget", "stop", "order", "rows",
    "epoch", "step", "failed",
)  # fmt: skip
"""The words that `loop_kernel` reads and writes. Read:

- `epochs`, `steps`: the epochs to run, and the steps of each
- `size`, `samples`: the rows of a full batch, and the samples of an epoch
- `shuffled`: the address of the epochs' orders of samples, or 0 if they are not shuffled
- `full`, `odd`: the addresses of the `RUN_WORDS` of full batches, and of the last batch if it is smaller
- `last`: the step of the smaller batch, or -1
- `budget`: the most steps that one call may run
- `stop`: the address of a word that is not 0 if the run is to stop

Written in each step, for the gathering kernels:

- `order`, `rows`: the address of the batch's first sample in the orders, and the rows of the batch

Read and written:

- `epoch`, `step`: the position of the run
- `failed`: the number of the entry that failed: 1, 2, ... in `before`, and -1, -2, ... in `after`
"""


@cache
def tape_kernel() -> str:
    """Calls the kernels of a tape in order. Its words: the tape's address, and its number of entries.

    It returns 0, or the number of the entry whose kernel stopped it, counted from 1.
    """
    w = Writer()
    tape, count = w.word("ptr"), w.word()
    walk(w, tape, count, lambda index: w.do(f"ret i64 {w.put(f'add nsw i64 {index}, 1')}"))
    return w.text()


def walk(w: Writer, tape: str, count: str, on_failure: Callable[[str], None]) -> None:
    """Write a loop that calls a tape's kernels in order.

    `on_failure` writes what is done if a kernel returns another number than 0. It is given the index of the entry.
    """
    with w.loop(count) as index:
        entry = w.offset(tape, (index, 16))
        kernel = w.put(f"load ptr, ptr {entry}, align 8")
        words = w.put(f"load ptr, ptr {w.offset(entry, ('1', 8))}, align 8")
        status = w.put(f"call i64 {kernel}(ptr {words})")
        stopped = w.put(f"icmp ne i64 {status}, 0")
        then, end = w.labels("stopped", "went")
        w.do(f"br i1 {stopped}, label %{then}, label %{end}")
        w.start(then)
        on_failure(index)
        w.start(end)


def move_words(w: Writer, table: str, count: str, place: str) -> None:
    """Write a loop that moves the addresses which some words hold.

    `table` has `count` entries of (address of the word, base, stride). The word is set to base + place * stride.
    """
    with w.loop(count) as index:
        entry = w.offset(table, (index, 24))
        where = w.put(f"load ptr, ptr {entry}, align 8")
        base, stride = (w.put(f"load i64, ptr {w.offset(entry, (str(n), 8))}, align 8") for n in (1, 2))
        moved = w.put(f"add nsw i64 {base}, {w.put(f'mul nsw i64 {place}, {stride}')}")
        w.do(f"store i64 {moved}, ptr {where}, align 8")


@cache
def gather_kernel(row: int | None) -> str:
    """Copies the rows of a batch from the data, in the order of the epoch.

    Its words: the target's address; the data's; that of the loop's words; the bytes of a row, if `row` is None.
    """
    w = Writer()
    target, data, loop = w.word("ptr"), w.word("ptr"), w.word("ptr")
    bytes_ = str(row) if row is not None else w.word()
    order = w.put(f"load ptr, ptr {_field(w, loop, LOOP_WORDS, 'order')}, align 8")
    rows = w.put(f"load i64, ptr {_field(w, loop, LOOP_WORDS, 'rows')}, align 8")
    with w.loop(rows) as i:
        at = w.put(f"load i64, ptr {w.offset(order, (i, 8))}, align 8")
        source = w.put(f"getelementptr i8, ptr {data}, i64 {w.put(f'mul nsw i64 {at}, {bytes_}')}")
        place = w.put(f"getelementptr i8, ptr {target}, i64 {w.put(f'mul nsw i64 {i}, {bytes_}')}")
        w.copy_bytes(place, source, bytes_)
    return w.text()


def _field(w: Writer, base: str, names: tuple[str, ...], name: str) -> str:
    return w.offset(base, (str(names.index(name)), 8)) if names.index(name) else base


@cache
def loop_kernel() -> str:
    """Runs epochs of batches. Its words are `LOOP_WORDS`, in that order.

    It returns 0 if all epochs are done, 1 if the budget of steps is used up, 2 if the word at `stop` asked it to stop,
    and 3 if a kernel failed.
    """
    w = Writer()
    _Loop(w).write()
    return w.text()


class _Loop:
    def __init__(self, w: Writer) -> None:
        self.w = w

    def get(self, name: str, kind: str = "i64") -> str:
        return self.w.put(f"load {kind}, ptr {_field(self.w, '%words', LOOP_WORDS, name)}, align 8")

    def set(self, name: str, value: str, kind: str = "i64") -> None:
        self.w.do(f"store {kind} {value}, ptr {_field(self.w, '%words', LOOP_WORDS, name)}, align 8")

    def write(self) -> None:
        w = self.w
        epochs, steps, budget = self.get("epochs"), self.get("steps"), self.get("budget")
        left = w.variable("i64", budget)
        again, run, finished, tired = w.labels("again", "run", "finished", "tired")
        w.do(f"br label %{again}")
        w.start(again)
        epoch = self.get("epoch")
        w.do(f"br i1 {w.put(f'icmp slt i64 {epoch}, {epochs}')}, label %{run}, label %{finished}")
        w.start(finished)
        w.do("ret i64 0")
        w.start(tired)
        w.do("ret i64 1")
        w.start(run)
        step = self.get("step")
        self._step(epoch, step)
        following = w.put(f"add nsw i64 {step}, 1")
        wraps = w.put(f"icmp eq i64 {following}, {steps}")
        self.set("step", w.put(f"select i1 {wraps}, i64 0, i64 {following}"))
        next_epoch = w.put(f"add nsw i64 {epoch}, {w.put(f'zext i1 {wraps} to i64')}")
        self.set("epoch", next_epoch)
        stop = self.get("stop", "ptr")
        w.leave(w.put(f"icmp ne i64 {w.put(f'load volatile i64, ptr {stop}, align 8')}, 0"), "2")
        rest = w.put(f"sub nsw i64 {w.put(f'load i64, ptr {left}')}, 1")
        w.do(f"store i64 {rest}, ptr {left}")
        w.do(f"br i1 {w.put(f'icmp sgt i64 {rest}, 0')}, label %{again}, label %{tired}")
        w.start(w.labels("never")[0])

    def _step(self, epoch: str, step: str) -> None:
        """One batch: feed it, compute the outputs, record them, update."""
        w = self.w
        size, samples = self.get("size"), self.get("samples")
        odd = w.put(f"icmp eq i64 {step}, {self.get('last')}")
        full_run, odd_run = self.get("full", "ptr"), self.get("odd", "ptr")
        run = w.put(f"select i1 {odd}, ptr {odd_run}, ptr {full_run}")
        first = w.put(f"mul nsw i64 {step}, {size}")
        remaining = w.put(f"sub nsw i64 {samples}, {first}")
        self.set("rows", w.put(f"call i64 @llvm.smin.i64(i64 {size}, i64 {remaining})"))
        shuffled = w.put(f"icmp ne i64 {self.get('shuffled')}, 0")
        gather, patch, ready = w.labels("gather", "patch", "ready")
        w.do(f"br i1 {shuffled}, label %{gather}, label %{patch}")
        w.start(gather)
        self._gather(run, epoch, samples, first)
        w.do(f"br label %{ready}")
        w.start(patch)
        self._patch(run, first)
        w.do(f"br label %{ready}")
        w.start(ready)
        self._walk(run, "before", 1)
        self._record(run, epoch, step)
        self._walk(run, "after", -1)

    def field(self, run: str, name: str, kind: str = "i64") -> str:
        return self.w.put(f"load {kind}, ptr {_field(self.w, run, RUN_WORDS, name)}, align 8")

    def _walk(self, run: str, name: str, sign: int) -> None:
        w = self.w

        def fail(index: str) -> None:
            self.set("failed", w.put(f"mul nsw i64 {w.put(f'add nsw i64 {index}, 1')}, {sign}"))
            w.do("ret i64 3")

        walk(w, self.field(run, name, "ptr"), self.field(run, f"{name}s"), fail)

    def _gather(self, run: str, epoch: str, samples: str, first: str) -> None:
        w = self.w
        orders = self.get("shuffled", "ptr")
        order = w.offset(orders, (w.put(f"add nsw i64 {w.put(f'mul nsw i64 {epoch}, {samples}')}, {first}"), 8))
        self.set("order", order, "ptr")
        walk(w, self.field(run, "gather", "ptr"), self.field(run, "gathers"), lambda index: w.do("ret i64 3"))

    def _patch(self, run: str, first: str) -> None:
        move_words(self.w, self.field(run, "patch", "ptr"), self.field(run, "patches"), first)

    def _record(self, run: str, epoch: str, step: str) -> None:
        """Copy the scalar outputs to the place of this step in their records."""
        w = self.w
        table = self.field(run, "record", "ptr")
        before = w.put(f"mul nsw i64 {epoch}, {self.get('steps')}")
        at = w.put(f"add nsw i64 {before}, {step}")
        with w.loop(self.field(run, "records")) as index:
            entry = w.offset(table, (index, 24))
            source, target = (w.put(f"load ptr, ptr {p}, align 8") for p in (entry, w.offset(entry, ("1", 8))))
            count = w.put(f"load i64, ptr {w.offset(entry, ('2', 8))}, align 8")
            place = w.offset(target, (w.put(f"mul nsw i64 {at}, {count}"), 1))
            with w.loop(count) as i:
                byte = w.put(f"load i8, ptr {w.offset(source, (i, 1))}")
                w.do(f"store i8 {byte}, ptr {w.offset(place, (i, 1))}")


@cache
def finite_kernel(dtype: DType) -> str:
    """Stops the program if an element is NaN or infinite. Its words: a dense array, and its number of elements."""
    w = Writer()
    place, count = w.word("ptr"), w.word()
    kind = register_type(dtype)
    with w.loop(count) as i:
        value = w.load(w.offset(place, (i, dtype.itemsize)), dtype)
        size = w.call("fabs", dtype, 1, value)
        w.leave(w.put(f"fcmp ueq {kind} {size}, {number(float('inf'), dtype)}"), "1")
    return w.text()
