"""The PyTorch half of tools/bench_cuda.py: the same passes by every way that PyTorch has for them.

A way is a backend of scaled_dot_product_attention, the order of its arrays, and whether it is
compiled; of the encoder also how it comes to bf16. What a way cannot do is an answer too, and kept.
"""

import collections
import contextlib
import copy
import functools
import itertools
import os
import statistics
import sys
import time
import types
import warnings

# This cache of compiled code does not look at which backends are allowed: what was compiled for the
# first of them would serve all. Read when PyTorch is imported.
os.environ["TORCHINDUCTOR_AUTOGRAD_CACHE"] = "0"

import torch
from torch.nn.functional import scaled_dot_product_attention

import bench_cuda_table as table
from bench_train import Network  # its formula is checked there against cra's

BACKENDS = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH")
DEFAULT = "default"          # what PyTorch itself chooses
MOST_UNITS = 65535           # of a grid's second and third dimension, which batch and heads fill
TOGETHER = 300 << 20         # bytes of the buffers that take turns, beyond 4 L2 caches of 60 MB
LAUNCHES = 24                # of a graph
WARM_UP = 3
KEPT = 2                     # ways that run again after the first round: the fastest ones
MODE = "max-autotune-no-cudagraphs"  # the graph is ours
# Largest error against double. It is to tell another function from rounding, no more: a backend
# dropped for its rounding would flatter cra.
TOLERANCE = {"fp32": 1e-4, "tf32": 2e-2, "bf16": 1e-1}

Way = collections.namedtuple("Way", "backend form compiled")


def name_of(way):
    words = [way.backend.lower().replace("_attention", ""), way.form]
    return " ".join(w for w in words + ["compiled" if way.compiled else ""] if w)


class Gpu:
    """Graphs of launches, timed by the device's events."""

    name = "cuda"

    def __init__(self):
        self.stream = torch.cuda.Stream()
        # One pool for all graphs: they never run at the same time, and what one leaves there is
        # never read. Each with a pool of its own would take more memory than there is.
        self.pool = torch.cuda.graph_pool_handle()
        # A pool whose last graph is gone takes no other: this one stays.
        self.first = self.record(lambda _: torch.zeros(1, device=self.name), 1, 1)

    def device(self):
        return torch.cuda.get_device_name()

    def settle(self):
        torch.cuda.synchronize()

    def free(self):
        torch.cuda.empty_cache()

    def aside(self, work):
        """On the stream that graphs are recorded on: libraries keep state by stream."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = work()
        torch.cuda.synchronize()
        return result

    def record(self, work, launches, outputs):
        """`outputs` results live at a time, or every launch would write to the same place."""
        self.aside(lambda: [work(i) for i in range(WARM_UP)])
        graph, kept = torch.cuda.CUDAGraph(), [None] * outputs
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            for i in range(launches):
                kept[i % outputs] = work(i)
        return graph.replay

    def times(self, replay, repeats):
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
        replay()  # keeps the device busy while the next ones are submitted, which is not their time
        for mark in marks[:-1]:
            mark.record()
            replay()
        marks[-1].record()
        torch.cuda.synchronize()
        return [a.elapsed_time(b) * 1e3 for a, b in zip(marks, marks[1:])]


class Cpu:
    """Stands in for a GPU where there is none, to run what is the same on both."""

    name = "cpu"

    def __init__(self):
        torch.set_num_threads(1)  # tiny shapes: threads would only wait for one another

    def device(self):
        return "CPU"

    def settle(self):
        pass

    def free(self):
        pass

    def aside(self, work):
        return work()

    def record(self, work, launches, outputs):
        kept = [None] * outputs

        def replay():
            for i in range(launches):
                kept[i % outputs] = work(i)
        return replay

    def times(self, replay, repeats):
        out = []
        for _ in range(repeats):
            start = time.perf_counter()
            replay()
            out.append((time.perf_counter() - start) * 1e6)
        return out


def forced(backend):
    """Only this backend, or an error."""
    if backend == DEFAULT:
        return contextlib.nullcontext()
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:  # before PyTorch 2.3
        if backend == "CUDNN_ATTENTION":
            raise RuntimeError("this PyTorch has no such backend") from None
        return torch.backends.cuda.sdp_kernel(
            enable_flash=backend == "FLASH_ATTENTION", enable_math=backend == "MATH",
            enable_mem_efficient=backend == "EFFICIENT_ATTENTION")
    if not hasattr(SDPBackend, backend):
        raise RuntimeError("this PyTorch has no such backend")
    return sdpa_kernel(getattr(SDPBackend, backend))


_numbers = itertools.count()


def compiled(function):
    """What is compiled is kept by code object, and would serve the next backend too: a new one."""
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    own = types.FunctionType(code, function.__globals__, code.co_name, function.__defaults__,
                             function.__closure__)
    return torch.compile(own, mode=MODE, dynamic=False)


def by_row(got, want):
    """Largest error of a row, relative to its largest number."""
    got, want = got.double(), want.double()
    return ((got - want).abs().amax(-1) / want.abs().amax(-1)).max().item()


def by_array(got, want):
    return ((got.double() - want).abs().max() / want.abs().max()).item()


class Passes:
    """Inputs, and calls on them; `checked` environments are compared with double."""

    checked = 2

    def __init__(self, machine, tokens):
        self.machine, self.tokens = machine, tokens
        self.generator = torch.Generator(machine.name).manual_seed(1)
        self.arrays, self.networks = {}, {}

    def random(self, *shape):
        return torch.randn(*shape, device=self.machine.name, generator=self.generator)

    def storage(self, dtype, *widths):
        """Sets of flat arrays, one of each width per token: every number of nodes sees them in its
        own shape. They stay, for graphs read them."""
        if (dtype, widths) not in self.arrays:
            size = self.tokens * sum(widths) * torch.empty((), dtype=dtype).element_size()
            self.arrays[dtype, widths] = [[self.random(self.tokens * w).to(dtype) for w in widths]
                                          for _ in range(-(-TOGETHER // size))]
        return self.arrays[dtype, widths]

    def core(self, key, way):
        """(work(i), number of sets, errors)"""
        _, passed, precision, envs, nodes = key
        reverse, size = passed != "forward", table.WIDTH // table.HEADS
        sets = []
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        for arrays in self.storage(dtype, *[table.WIDTH] * 4):
            q, k, v, d_out = (a[:envs * nodes * table.WIDTH] for a in arrays)
            if way.form == "by head":
                q, k, v, d_out = (a.view(envs, table.HEADS, nodes, size) for a in (q, k, v, d_out))
            else:  # rows, as cra has them
                q, k, v, d_out = (a.view(envs, nodes, table.HEADS, size).transpose(1, 2)
                                  for a in (q, k, v, d_out))
            sets.append([a.detach().requires_grad_(reverse) for a in (q, k, v)] + [d_out])

        def work_in(chunk):
            def attend(q, k, v):
                if q.shape[0] <= chunk:
                    return scaled_dot_product_attention(q, k, v)
                return torch.cat([scaled_dot_product_attention(*(a[i:i + chunk] for a in (q, k, v)))
                                  for i in range(0, q.shape[0], chunk)])

            call = compiled(attend) if way.compiled else attend

            def work(i):
                q, k, v, d_out = sets[i % len(sets)]
                with forced(way.backend), torch.set_grad_enabled(reverse):
                    out = call(q, k, v)
                    return (out, *torch.autograd.grad(out, (q, k, v), d_out)) if reverse else (out,)
            return work

        some = [a[:self.checked].detach().double().requires_grad_() for a in sets[0][:3]]
        scores = some[0] @ some[1].transpose(2, 3) / size ** 0.5
        want = torch.softmax(scores, -1) @ some[2]
        wanted = [want.detach()]
        if reverse:
            wanted += torch.autograd.grad(want, some, sets[0][3][:self.checked].double())
        # Whole first; in parts where that is refused and the batch is what may be too much.
        chunks = [envs]
        if envs * table.HEADS > MOST_UNITS:
            chunks += [-(-envs // 2), -(-envs // 4)]
        for chunk in chunks:
            work = work_in(chunk)
            try:
                got = self.machine.aside(functools.partial(work, 0))
                break
            except Exception:
                if chunk == chunks[-1]:
                    raise
                self.machine.settle()
        got = [a.detach()[:self.checked] for a in got]
        errors = [by_row(got[0], wanted[0])] + [by_array(g, w) for g, w in zip(got[1:], wanted[1:])]
        return work, len(sets), errors

    def network(self):
        if not self.networks:
            net = Network(table.FEATURES, table.WIDTH, table.HEADS, table.LAYERS)
            self.networks["fp32"] = net.to(self.machine.name)
            self.networks["bf16"] = copy.deepcopy(net).to(torch.bfloat16)
            del self.networks["fp32"].head, self.networks["bf16"].head  # cra times the encoder
        return self.networks

    def encoder(self, key, way):
        """As core(); gradients are those by the parameters."""
        _, passed, precision, envs, nodes = key
        reverse = passed != "forward"
        net = self.network()["bf16" if way.form == "bf16 weights" else "fp32"]
        parameters = list(net.parameters())
        dtype = parameters[0].dtype
        sets = [(x[:envs * nodes * table.FEATURES].view(envs, nodes, table.FEATURES),
                 d_h[:envs * nodes * table.WIDTH].view(envs, nodes, table.WIDTH))
                for x, d_h in self.storage(dtype, table.FEATURES, table.WIDTH)]
        cast = precision == "bf16" and way.form == "autocast"

        def encode(x):
            return net.norm(net.layers(net.embed(x)))

        call = compiled(encode) if way.compiled else encode

        def work(i, other=None):
            x, d_h = sets[i % len(sets)]
            with forced(way.backend), torch.set_grad_enabled(reverse), torch.autocast(
                    self.machine.name, torch.bfloat16, enabled=cast, cache_enabled=False):
                h = call(x)
            if not reverse:
                return (h,)
            return (h, *torch.autograd.grad(h, parameters, d_h if other is None else other))

        # Gradients sum over all environments: those of a few are had where the rest weighs nothing.
        x, d_h = (a[:self.checked].double() for a in sets[0])
        few = torch.zeros_like(sets[0][1])
        few[:self.checked] = d_h
        got = self.machine.aside(lambda: work(0, few))
        exact = copy.deepcopy(net).double()
        want = exact.norm(exact.layers(exact.embed(x)))
        errors = [by_row(got[0][:self.checked], want.detach())]
        if reverse:
            wanted = torch.autograd.grad(want, list(exact.parameters()), d_h)
            errors += [by_array(g, w) for g, w in zip(got[1:], wanted)]
        return work, len(sets), errors


def eager_ways(key):
    what, _, precision = key[:3]
    if what == "core":
        return [Way(b, form, False) for b in BACKENDS for form in ("by row", "by head")]
    if precision == "bf16":
        return [Way(DEFAULT, "autocast", False)] + [Way(b, "bf16 weights", False)
                                                    for b in (DEFAULT, *BACKENDS)]
    return [Way(b, "", False) for b in (DEFAULT, *BACKENDS)]


def compiled_ways(key, times):
    """Of the core every backend, in the form that was the faster one as it is; of the encoder what
    PyTorch itself chooses, in every form, and the fastest way."""
    eager = sorted((w for w in times if not w.compiled),
                   key=lambda w: statistics.median(times[w][0]))
    first = {}
    for w in eager:
        first.setdefault(w.backend, w)
    chosen = list(first.values())
    if key[0] == "encoder":
        chosen = [w for w in eager if w.backend == DEFAULT or w == eager[0]]
    return [w._replace(compiled=True) for w in chosen]


class Half:
    """All figures by all ways in the first round, by the fastest ones after that."""

    def __init__(self, machine, keys, repeats, compile_s, skip=(), launches=LAUNCHES):
        self.machine, self.keys, self.repeats = machine, keys, repeats
        self.launches, self.skip, self.compile_s = launches, skip, compile_s
        self.passes = Passes(machine, max(k[3] * k[4] for k in keys))
        self.ready = {key: {} for key in keys}   # key -> way -> replay
        self.found = {key: {} for key in keys}   # key -> way -> [rounds] of lists
        self.refused = {key: {} for key in keys}
        self.untried = {key: [] for key in keys}
        self.errors = {key: {} for key in keys}
        self.copies = []

    def try_way(self, key, way):
        """Checks, records and times it; what it throws is its answer, and what it warned of."""
        if any(s in name_of(way) for s in self.skip):
            self.untried[key].append(name_of(way))
            return
        # Of matrix products, by eager and compiled ways alike.
        torch.set_float32_matmul_precision("high" if key[2] == "tf32" else "highest")
        # Why a backend is not taken is told by warnings alone.
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            self.answer(key, way, warned)

    def answer(self, key, way, warned):
        try:
            work, sets, errors = getattr(self.passes, key[0])(key, way)
            self.errors[key][name_of(way)] = max(errors)
            if not all(e <= TOLERANCE[key[2]] for e in errors):
                raise RuntimeError(f"differs from double by {max(errors):.1e}")
            # With the work go the arrays and kernels that the graph refers to.
            self.ready[key][way] = self.machine.record(work, self.launches, sets), work
            self.found[key][way] = [self.times(key, way)]
        except torch.cuda.OutOfMemoryError:  # the fault of all that we keep, not the way's
            self.ready[key].pop(way, None)
            self.untried[key].append(name_of(way))
            self.machine.free()
        except Exception as e:
            self.ready[key].pop(way, None)
            said = [f"{type(e).__name__}: {e}", *(str(w.message) for w in warned
                                                  if issubclass(w.category, UserWarning))]
            first = dict.fromkeys(text.strip().split("\n")[0].split(" (Triggered")[0][:160]
                                  for text in said)
            self.refused[key][name_of(way)] = "; ".join(list(first)[:5])
            try:
                self.machine.settle()
            except Exception as gone:
                raise SystemExit(f"bench_cuda: {name_of(way)} on {key} broke the device ({gone}); "
                                 f"leave it out with --skip '{name_of(way)}'") from e

    def times(self, key, way):
        replay, _ = self.ready[key][way]
        return [t / self.launches for t in self.machine.times(replay, self.repeats)]

    def copy_rate(self):
        """GB/s, read and written."""
        count = max(TOGETHER // 4, 1) if self.machine.name == "cuda" else 1 << 16
        source, target = (torch.ones(count, device=self.machine.name) for _ in range(2))
        for _ in range(WARM_UP):
            target.copy_(source)
        us = self.machine.times(lambda: target.copy_(source), 10)
        return 2 * 4 * count / statistics.median(us) / 1e3

    def first_round(self):
        # All that is quick before anything is compiled, so that a run cut short has most of it.
        for key in self.keys:
            for way in eager_ways(key):
                self.try_way(key, way)
            self.keep_fastest(key)
            self.tell(key)
        self.machine.free()
        end = time.monotonic() + self.compile_s
        for key in self.keys:
            for way in compiled_ways(key, self.found[key]):
                if time.monotonic() < end:
                    self.try_way(key, way)
                else:
                    self.untried[key].append(name_of(way))
            self.keep_fastest(key)
            self.tell(key)
        self.machine.free()
        self.copies.append(self.copy_rate())

    def keep_fastest(self, key):
        order = sorted(self.ready[key], key=lambda w: statistics.median(self.found[key][w][0]))
        for way in order[KEPT:]:
            del self.ready[key][way]

    def next_round(self):
        for key in self.keys:
            for way in self.ready[key]:
                self.found[key][way].append(self.times(key, way))
        self.copies.append(self.copy_rate())

    def tell(self, key):
        best = min(self.ready[key], default=None,
                   key=lambda w: statistics.median(self.found[key][w][0]))
        print(*key, "none of PyTorch's ways" if best is None else
              f"{statistics.median(self.found[key][best][0]):.1f} us {name_of(best)}",
              f"{len(self.found[key])} ways, {len(self.refused[key])} refused", sep=", ",
              file=sys.stderr, flush=True)

    def rows(self):
        """{key: what table.assemble() adds to a row}"""
        return {key: {"torch": {name_of(w): [[round(t, 3) for t in r] for r in rounds]
                                for w, rounds in self.found[key].items()},
                      "refused": self.refused[key], "untried": self.untried[key],
                      "torch_errors": self.errors[key]} for key in self.keys}


def ran(work):
    """Backends other than plain that a call went through, by the names of operators."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        work(0)
    names = " ".join(e.key for e in seen.key_averages() if "scaled_dot_product" in e.key)
    return [b for b in ("cudnn", "flash", "efficient") if b + "_attention" in names]


def about():
    cudnn = torch.backends.cudnn.version()
    return {"torch": torch.__version__, "cuda": str(torch.version.cuda), "cudnn": str(cudnn)}
