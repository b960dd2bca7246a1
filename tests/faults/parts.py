"""Parts of one store, in any order and at once, that crash or are killed and are started again; then all is compared.

In process parts run one after another, and one of them crashes at a writing operation. Children run at once; some are
killed at one, and whoever was killed is started again, until all have ended.
"""

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from .crashes import CHILD_SECONDS, CrashError, crash, forking, kill, reborn, watching
from .stores import arrays, complete, differences, opened, whole, write_page
from .trials import Campaign, Case, Reply, busy, call

MOST_PARTS = 4
EVENTS = 130  # a part has about so many writing operations,
FIRST_EVENTS = 470  # and the first one, which makes the store, so many
CRASHES = 200
STARTS = 6  # of one child at most
NETWORKS = ("parameters", "network")


def prepared(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the page, and what its store holds if it is run at once."""
    page = write_page(folder)
    store = complete(page, folder / "store")
    return page.read_text(), whole(store) | networks(store)


def networks(store: Path) -> dict[str, Any]:
    """Return the kept network of each lane."""
    import zarr

    group = zarr.open_group(store, mode="r", use_consolidated=False)
    lanes = group["lane"][:]
    return {
        f"{name} of {lane}": group[name][at].tobytes()
        for name in NETWORKS
        for at, lane in enumerate(lanes)
        if lane >= 0
    }


def run_part(folder: Path, number: int, of: int, store: str = "store") -> Reply:
    """Run one part in this process."""
    return call("run", ["experiments/page.py", "--out", store, "--part", f"{number}/{of}"], cwd=folder, seconds=60)


def judged(folder: Path, expected: dict[str, Any], what: str) -> tuple[str, str]:
    """Judge the store after all parts, or all workers, have ended."""
    store = folder / "store"
    checked = call("check", ["store"], cwd=folder)
    if checked.code != 0 or "is undamaged" not in checked.out:
        return "silent", f"{what}: sweep.check: {checked.brief()} {checked.out[-200:]}"
    if not opened(store, lambda ds: ds.attrs["complete"]):
        return "silent", f"{what}: the store is not complete"
    if differs := differences(opened(store, arrays) | networks(store), expected):
        return "silent", f"{what}: other {differs}"
    marks = ("lock-", "checkpoint", "heartbeat", "ended-leases", ".new-")
    left = [path.name for path in store.rglob("*") if path.name.startswith(marks) or path.name.endswith(".partial")]
    return ("litter", f"{what}: {', '.join(left[:5])} stays") if left else ("right", "")


def _crashed(
    text: str, expected: dict[str, Any], order: Sequence[int], at: int, event: int, own: bool
) -> Callable[[Path], tuple[str, str]]:
    """Run parts in an order, of which one crashes at an event, and then this one again; perhaps in own stores."""
    stores = {number: f"store-{number}" if own else "store" for number in order}

    def run(folder: Path) -> tuple[str, str]:
        _begin(folder, text)
        for number in order[:at]:
            run_part(folder, number, len(order), stores[number])
        what = f"crash at {_crash(folder, order[at], len(order), stores[order[at]], event)}"
        with reborn():
            for number in (*order[at + 1 :], order[at]):
                reply = run_part(folder, number, len(order), stores[number])
                if reply.code != 0:
                    return ("internal" if reply.code == 1 else "untidy"), f"{what}; part {number}: {reply.brief()}"
            if own:
                reply = call("merge", [*stores.values(), "--out", "store"], cwd=folder)
                if reply.code != 0:
                    return "untidy", f"{what}; merging: {reply.brief()}"
            return judged(folder, expected, what)

    return run


def _crash(folder: Path, number: int, of: int, store: str, event: int) -> str:
    """Run a part that crashes at an event; return where that was."""
    hushed, sys.unraisablehook = sys.unraisablehook, lambda _: None
    where: list[str] = []

    def die(event: str) -> None:
        where.append(event)
        crash(event)

    try:
        with watching(folder, event, die):
            with contextlib.suppress(CrashError):
                run_part(folder, number, of, store)
            gc.collect()
    finally:
        sys.unraisablehook = hushed
    return where[0].replace(str(folder), "") if where else "no event"


def _begin(folder: Path, text: str) -> None:
    (folder / "experiments").mkdir()
    (folder / "experiments" / "page.py").write_text(text)


def child(folder: str, number: int, of: int, event: int) -> None:
    """Run a part in a forked process that kills itself at an event, or at none (0)."""
    os.chdir(folder)
    with open(f"reply-{number}.txt", "w") as told:
        try:
            with watching(Path(folder), event, kill):
                reply = run_part(Path(folder), number, of)
            told.write(reply.brief())
            told.flush()
            os._exit(3 if reply.code is None else reply.code)
        except BaseException:
            traceback.print_exc(file=told)
            told.flush()
    os._exit(1)


def _killed(text: str, expected: dict[str, Any], of: int, seed: int) -> Callable[[Path], tuple[str, str]]:
    """Run all parts at once; each is killed at random events until its last start."""

    def run(folder: Path) -> tuple[str, str]:
        _begin(folder, text)
        random, waiting, what = Random(seed), list(range(1, of + 1)), []
        for start in range(STARTS):
            events = {
                n: random.choice((0, random.randint(1, EVENTS), random.randint(1, FIRST_EVENTS))) for n in waiting
            }
            events = events if start + 1 < STARTS else dict.fromkeys(waiting, 0)
            random.shuffle(waiting)
            processes = {n: forking().Process(target=child, args=(str(folder), n, of, events[n])) for n in waiting}
            for process in processes.values():
                process.start()
            for process in processes.values():
                process.join(CHILD_SECONDS * busy())
            what.append(f"{ {n: (events[n], process.exitcode) for n, process in processes.items()} }")
            if any(process.exitcode is None for process in processes.values()):
                for process in processes.values():
                    process.kill()
                return "hang", "; ".join(what)
            if failed := [n for n, process in processes.items() if process.exitcode not in (0, -9)]:
                return "untidy", f"{'; '.join(what)}: {(folder / f'reply-{failed[0]}.txt').read_text()[-300:]}"
            waiting = [n for n, process in processes.items() if process.exitcode == -9]
            if not waiting:
                break
        return judged(folder, expected, "; ".join(what))

    return run


def cases(folder: Path, random: Random) -> Sequence[Case]:
    """List crashes of a part, in all numbers of parts."""
    text, expected = prepared(folder)
    found = []
    for _ in range(CRASHES):
        parts = random.randint(1, MOST_PARTS)
        order = random.sample(range(1, parts + 1), parts)
        at = random.randrange(len(order))
        own = parts > 1 and random.random() < 0.3
        event = random.randint(1, EVENTS if at and not own else FIRST_EVENTS)
        name = f"parts {order}{' in stores of their own' if own else ''}, {order[at]} at event {event}"
        found.append(Case(name, _crashed(text, expected, order, at, event, own)))
    return found


def cases_at_once(folder: Path, random: Random) -> Sequence[Case]:
    """List parts that are killed while others run."""
    text, expected = prepared(folder)
    return [
        Case(f"{of} parts, seed {seed}", _killed(text, expected, of, seed))
        for seed in range(15)
        for of in range(1, MOST_PARTS + 1)
    ]


CAMPAIGN = Campaign("parts", "a part of a store crashes while it writes, others go on, it starts again", cases, 2, 20)
KILLS = Campaign(
    "parts_killed", "1 to 4 parts of a store at once, killed by SIGKILL and started again", cases_at_once, 0, 6
)
