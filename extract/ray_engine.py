"""Extraction by Ray Data: decoding on the cluster's CPUs, encoders on its GPUs, all writing in the process that asked.

A dataset of clips streams through two stages, tasks that decode and actors that each hold all encoders; Ray holds the first
back where the second is slower. What dies is started anew by Ray, and what it was at is done again. That may be lost or done
twice all the same: so what came is counted here, what came twice is dropped, and what never came is asked for once more, clip
by clip, so that a clip which kills its process costs no other.
"""

import logging
import pickle
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sadgr.cache.allocator import keep_freed_memory
from sadgr.extract.background import Background
from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoded, Decoders, Wanted
from sadgr.extract.errors import EngineUnavailableError, ModelUnavailableError
from sadgr.extract.outcome import Report
from sadgr.extract.plan import Plan
from sadgr.extract.results import Gathering, Prepared, Result, attempt, encode
from sadgr.extract.stages import Stage

if TYPE_CHECKING:
    import pyarrow as pa

CLIPS_TOGETHER = 16
"""Clips that a task decodes, one after another, and that an encoder gets at once: as many as share a pass of ViT on a GPU."""
BLOCK_BYTES = 64 * 2**20
"""Of decoded clips, after which a task hands over what it has."""
RETRIES = 3
"""Times that Ray does again what died under way, before it is given up."""
ROUNDS = (CLIPS_TOGETHER, 1)
"""Clips together, at first and for what never came."""
RESULTS_WAITING = 16
LOGS = "the nodes' /tmp/ray/session_latest/logs"
COLUMN = "pickled"

Make = Callable[[str], list[Stage[Any]]]
"""Makes the stages, given the name of a device."""


@dataclass(frozen=True)
class Work:
    """What is to be done of a clip: for each stage what is decoded, if anything, and what of its features is kept."""

    clip: Clip
    wanted: Mapping[str, Wanted | None]
    kept: Mapping[str, frozenset[str]]


class _Ready(NamedTuple):
    """A clip that was decoded; where a stage's part could not be, that stage's result."""

    work: Work
    decoded: Mapping[str, Decoded | Result | None]


class _Done(NamedTuple):
    """What an actor gives: results, how long it took to load, and waited for these clips; or what no clip is to blame for."""

    results: list[Result]
    loading_seconds: float = 0.0
    waiting_seconds: float = 0.0
    error: Exception | None = None


class _Pool(NamedTuple):
    """Encoder actors: device of each, how many at most, and what each takes of its node."""

    device: str
    most: int
    num_cpus: float
    num_gpus: int


def compute_with_ray(
    clips: Sequence[Clip],
    plan: Plan,
    make: Make,
    device: str,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Result]:
    """Compute on the Ray that this process has joined what the plan says is to be done.

    Features are those of `pipeline.compute` on the same kind of device, to the last bit where clips are computed together as
    there, and up to rounding where they are not.

    Args:
        clips: the source's clips.
        plan: as `make_plan` gives.
        make: makes the stages, here and on every node, so that paths in it are absolute; no weights are loaded here.
        device: `auto`, `cpu` or `cuda`.
        report: is told what takes how long.
        stop: ends the results early.

    Raises:
        ModelUnavailableError: the cluster has no GPU, and one is asked for; or a node cannot load a model.
        EngineUnavailableError: nothing comes back.
    """
    works = {work.clip.clip_id: work for work in _works(clips, plan, make("cpu"))}
    pool = _pool(device)
    names = {name for work in works.values() for name in work.wanted}
    came = 0
    for together in ROUNDS:
        if not works:
            return
        done = _stream(list(works.values()), together, partial(make, pool.device), names, pool)
        with Background(done, RESULTS_WAITING, stop) as found:
            for one in found:
                if one.error is not None:
                    raise one.error
                report.seconds["loading"] = max(report.seconds["loading"], one.loading_seconds)  # all load at once
                report.seconds["waiting"] += one.waiting_seconds
                for result in one.results:
                    if _take_off(works, result):
                        came += 1
                        yield result
        if stop():
            return
    if works and not came:
        raise EngineUnavailableError(f"Ray gave nothing back; {LOGS} say why")
    reason = f"the process that worked at it died {len(ROUNDS) * (1 + RETRIES)} times, maybe for want of memory; {LOGS} say more"
    yield from (Result(clip_id, name, "failed", reason=reason) for clip_id, one in works.items() for name in one.wanted)


def _works(clips: Sequence[Clip], plan: Plan, stages: Sequence[Stage[Any]]) -> Iterator[Work]:
    for clip in plan.clips(clips, [stage.name for stage in stages]):
        todo = [stage for stage in stages if clip.clip_id in plan.todo[stage.name]]
        yield Work(
            clip,
            {stage.name: _absolute(stage.wanted(clip)) for stage in todo},
            {stage.name: plan.kept(stage.name, clip.clip_id) for stage in todo},
        )


def _absolute(wanted: Wanted | None) -> Wanted | None:
    """Name the medium so that processes which began in another folder find it."""
    if wanted is None:
        return None
    return replace(wanted, medium=replace(wanted.medium, path=wanted.medium.path.absolute()))


def _take_off(works: dict[str, Work], result: Result) -> bool:
    """Take a result off what is still to come; tells whether it was."""
    work = works.get(result.clip_id)
    if work is None or result.stage not in work.wanted:
        return False
    wanted = {name: one for name, one in work.wanted.items() if name != result.stage}
    works[result.clip_id] = replace(work, wanted=wanted)
    if not wanted:
        del works[result.clip_id]
    return True


def _pool(device: str) -> _Pool:
    """Size the pool by what the cluster has: an actor a GPU; without any, half of the CPUs encode and the others decode."""
    import ray

    has = ray.cluster_resources()
    gpus, cpus = int(has.get("GPU", 0)), has.get("CPU", 1.0)
    if device == "cuda" and not gpus:
        raise ModelUnavailableError("--device cuda: no node of the Ray cluster offers a GPU (see `ray status`)")
    if gpus and device != "cpu":
        return _Pool("cuda", gpus, 0, 1)
    return _Pool("cpu", max(1, int(cpus / 2)), _cpus_each(), 0)


def _cpus_each() -> float:
    """Return what a task or actor takes: a CPU; half where there is but one, so that there is room for one of each."""
    import ray

    return 1.0 if ray.cluster_resources().get("CPU", 1.0) >= 2 else 0.5


def _stream(
    works: Sequence[Work], together: int, make: Callable[[], list[Stage[Any]]], names: Iterable[str], pool: _Pool
) -> Iterator[_Done]:
    """Send clips through the cluster, and give what comes of them, in any order."""
    import ray.data

    _hush()
    tables = [_table(works[first : first + together]) for first in range(0, len(works), together)]
    clips = ray.data.from_arrow(tables)
    clips.context.enable_progress_bars = False
    clips.context.target_max_block_size = BLOCK_BYTES
    clips.context.max_errored_blocks = -1  # what was given up is asked for once more
    decoded = clips.map_batches(
        _decode,
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=_cpus_each(),
        max_retries=RETRIES,  # Ray Data's own is without end
    )
    encoded = decoded.map_batches(
        _Encoders,
        fn_constructor_args=(make, frozenset(names)),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=pool.most),
        num_cpus=pool.num_cpus,
        num_gpus=pool.num_gpus,
        max_task_retries=RETRIES,
    )
    for table in encoded.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from _rows(table)


def _hush() -> None:
    """Leave what Ray Data has to say to its log files."""
    logger = logging.getLogger("ray.data")
    for handler in [one for one in logger.handlers if isinstance(one, logging.StreamHandler)]:
        logger.removeHandler(handler)
    # The only way to bound retries; setup.cfg ends before the Ray that will not have it.
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", DeprecationWarning)


def _table(rows: Iterable[Any]) -> "pa.Table":
    """Put objects into a table, a row each: what goes through Arrow as bytes comes out as it was."""
    import pyarrow as pa

    return pa.table({COLUMN: pa.array([pickle.dumps(row, protocol=5) for row in rows], pa.large_binary())})


def _rows(table: "pa.Table") -> Iterator[Any]:
    """Give the objects of a table that this run made."""
    for row in table[COLUMN]:
        yield pickle.loads(row.as_buffer())  # noqa: S301


@cache
def _decoders() -> Decoders:
    """Decode in a process beside this one, a worker of Ray's: what a broken file does to it costs no task."""
    return Decoders(workers=1)


def _decode(table: "pa.Table") -> Iterator["pa.Table"]:
    """Decode clips, in a task; a row each."""
    for work in _rows(table):
        try:
            decoded = {name: _decoded(work.clip.clip_id, name, wanted) for name, wanted in work.wanted.items()}
            yield _table([_Ready(work, decoded)])
        except Exception as error:
            yield _table([_portable(error)])


def _decoded(clip_id: str, stage: str, wanted: Wanted | None) -> Decoded | Result | None:
    return None if wanted is None else attempt(clip_id, stage, lambda: _decoders().begin(wanted).result())


class _Encoders:
    """An actor that holds the encoders.

    They are loaded with the first clips: what goes wrong then is told like all else.

    Args:
        make: makes the stages.
        names: of those that have something to do.
    """

    def __init__(self, make: Callable[[], list[Stage[Any]]], names: frozenset[str]) -> None:
        self._make, self._names = make, names
        self._stages: list[Stage[Any]] = []
        self._loading_seconds = 0.0
        self._idle_since = 0.0

    def __call__(self, table: "pa.Table") -> "pa.Table":
        """Encode clips."""
        try:
            if not self._stages:
                self._load()
            waited = time.monotonic() - self._idle_since
            return _table([_Done(self._encoded(table), self._loading_seconds, waited)])
        except Exception as error:
            return _table([_Done([], error=_portable(error))])
        finally:
            self._idle_since = time.monotonic()

    def _load(self) -> None:
        begun = time.monotonic()
        keep_freed_memory()
        stages = [stage for stage in self._make() if stage.name in self._names]
        for stage in stages:
            stage.load()
        self._stages, self._idle_since = stages, time.monotonic()
        self._loading_seconds = self._idle_since - begun

    def _encoded(self, table: "pa.Table") -> list[Result]:
        results: list[Result] = []
        gathering = Gathering()
        for ready in _rows(table):
            if isinstance(ready, Exception):
                raise ready
            for stage in self._stages:
                if stage.name not in ready.decoded:
                    continue
                found = _prepare(ready, stage)
                if isinstance(found, Result):
                    results.append(found)
                else:
                    results += (one for batch in gathering.add(stage, found) for one in encode(batch))
        return [*results, *(one for batch in gathering.rest() for one in encode(batch))]


def _prepare(ready: _Ready, stage: Stage[Any]) -> Prepared | Result:
    clip, decoded, kept = ready.work.clip, ready.decoded[stage.name], ready.work.kept[stage.name]
    if isinstance(decoded, Result):
        return decoded
    return attempt(clip.clip_id, stage.name, lambda: Prepared(clip.clip_id, stage.prepare(clip, decoded, kept)))


def _portable(error: Exception) -> Exception:
    """Make an error fit to be raised in another process, where it came from included."""
    told = "".join(traceback.format_exception(error))
    error.add_note(f"In a process of Ray's:\n{told}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:
        return RuntimeError(told)
    return error
