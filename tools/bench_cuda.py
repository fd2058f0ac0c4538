#!/usr/bin/env python3
"""cra's attention on a GPU beside the best that PyTorch has for it, in the same run.

    tools/bench_cuda.py CRA [--rounds N] [--force]     on a machine with an NVIDIA GPU
    tools/bench_cuda.py --smoke                        here: tiny shapes on the CPU, nothing written

In turn, N times (default 6): PyTorch on every shape, then `CRA bench cuda --json`. In the first round
all its backends run, after that the two that were fastest on the shape.
Both time graphs of launches by the device's events, on buffers in turn that no cache holds. Of
PyTorch the fastest counts, of cuDNN, flash, memory-efficient and plain attention, each as it is and
compiled (max-autotune). Backends that refuse a shape are listed with what they said. Results are
checked against double first. Writes results/bench/DEVICE/attention.md and .json; --force replaces.

PyTorch is no part of this project: give the script an interpreter that has it, for example by
`python3 -m venv DIR && DIR/bin/pip install torch`, then `DIR/bin/python tools/bench_cuda.py CRA`.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import bench_cuda_table as table

WIDTH, HEADS, LAYERS, FEATURES = 64, 4, 2, 16
ROWS = 262144  # environments times nodes
NODES = (16, 32, 64, 128, 256)
BACKENDS = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH")
MOST_UNITS = 65535  # batch times heads, in the grid dimensions of two of the backends
LAUNCHES = 24       # of a graph
TOGETHER = 256 << 20  # bytes of the buffers that take turns
REPEATS = 6         # graphs of a figure in a round


def fail(text):
    print(f"bench_cuda: {text}", file=sys.stderr)
    sys.exit(2)


class Torch:
    """The PyTorch half: seconds of its passes, and why a backend has none."""

    def __init__(self, smoke):
        try:
            import torch
            from torch.nn.attention import SDPBackend, sdpa_kernel
        except ImportError as e:
            fail(f"{e}; an interpreter with PyTorch 2.3 or later is needed, see --help")
        self.torch, self.backend_type, self.sdpa_kernel = torch, SDPBackend, sdpa_kernel
        self.smoke = smoke
        if not smoke and not torch.cuda.is_available():
            fail("PyTorch sees no GPU here; --smoke runs tiny shapes on the CPU")
        self.device = "cpu" if smoke else "cuda"
        self.refused = {}
        self.ready = {}

    def dtype(self, precision):
        return self.torch.bfloat16 if precision == "bf16" else self.torch.float32

    def use_tf32(self, precision):
        on = precision == "tf32"
        self.torch.backends.cuda.matmul.allow_tf32 = on
        self.torch.backends.cudnn.allow_tf32 = on

    def inputs(self, envs, nodes, precision, count):
        """[(q, k, v, d_out)], each [E, H, N, size], views of rows [E, N, 3, H, size] as cra has them."""
        torch, sets = self.torch, []
        generator = torch.Generator(self.device).manual_seed(1)
        for _ in range(count):
            rows = torch.randn(envs, nodes, 3, HEADS, WIDTH // HEADS, device=self.device,
                               generator=generator).to(self.dtype(precision))
            q, k, v = (t.detach().requires_grad_() for t in rows.permute(2, 0, 3, 1, 4))
            sets.append((q, k, v, torch.randn(envs, HEADS, nodes, WIDTH // HEADS, device=self.device,
                                              generator=generator).to(rows.dtype)))
        return sets

    def attend(self, q, k, v, chunk):
        attention = self.torch.nn.functional.scaled_dot_product_attention
        if q.shape[0] <= chunk:
            return attention(q, k, v)
        parts = [attention(*(t[i:i + chunk] for t in (q, k, v))) for i in range(0, q.shape[0], chunk)]
        return self.torch.cat(parts)

    def core(self, envs, nodes, precision, backend, compiled, backward):
        """A function work(i) of one pass on set i, checked; raises where the backend refuses."""
        torch = self.torch
        size = envs * nodes * WIDTH * (2 if precision == "bf16" else 4)
        sets = self.inputs(envs, nodes, precision, 1 if self.smoke else max(2, TOGETHER // (8 * size) + 1))
        chunk = MOST_UNITS // HEADS if backend in ("EFFICIENT_ATTENTION", "FLASH_ATTENTION") else envs
        call = self.attend
        if compiled:
            torch._dynamo.reset()  # past a few shapes of one function it would give up in silence
            call = torch.compile(self.attend, mode="max-autotune-no-cudagraphs", dynamic=False)

        def work(i):
            q, k, v, d_out = sets[i % len(sets)]
            with self.sdpa_kernel(getattr(self.backend_type, backend)):
                if not backward:
                    with torch.no_grad():
                        return call(q, k, v, chunk)
                out = call(q, k, v, chunk)
                return torch.autograd.grad(out, (q, k, v), d_out)

        with torch.no_grad():
            q, k, v = (t[:2].double() for t in sets[0][:3])
            want = torch.softmax(q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5, -1) @ v
            with self.sdpa_kernel(getattr(self.backend_type, backend)):
                got = call(*sets[0][:3], chunk)[:2].double()
            error = ((got - want).abs().amax(-1) / want.abs().amax(-1)).max().item()
        if not error < (2e-2 if precision == "bf16" else 5e-3):
            raise RuntimeError(f"wrong by {error:.1e}")
        return work

    def encoder(self, envs, nodes, precision, compiled, backward):
        torch, nn = self.torch, self.torch.nn

        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
                self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
                self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.Tanh(), nn.Linear(2 * WIDTH, WIDTH))

            def forward(self, x):
                q, k, v = self.qkv(self.norm1(x)).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
                seen = nn.functional.scaled_dot_product_attention(q, k, v)
                x = x + self.out(seen.transpose(1, 2).reshape(x.shape))
                return x + self.mlp(self.norm2(x))

        net = nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH),
                            *(Layer() for _ in range(LAYERS)), nn.LayerNorm(WIDTH))
        net = net.to(self.device, self.dtype(precision))
        parameters = list(net.parameters())
        x = torch.randn(envs, nodes, FEATURES, device=self.device).to(self.dtype(precision))
        d_h = torch.randn(envs, nodes, WIDTH, device=self.device).to(x.dtype)
        if compiled:
            torch._dynamo.reset()
        call = torch.compile(net, mode="max-autotune-no-cudagraphs", dynamic=False) if compiled else net

        def work(_):
            if not backward:
                with torch.no_grad():
                    return call(x)
            return torch.autograd.grad(call(x), parameters, d_h)

        return work

    def prepare(self, key, make):
        """Records the graph of a figure once; a backend that refuses is noted and left out."""
        torch = self.torch
        try:
            self.use_tf32(key[4])
            work = make()
            if self.smoke:
                work(0)
                self.ready[key] = work
                return
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for i in range(3):
                    work(i)
            torch.cuda.current_stream().wait_stream(side)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for i in range(LAUNCHES):
                    work(i)
            graph.replay()
            torch.cuda.synchronize()
            self.ready[key] = graph
        except Exception as e:  # whatever a backend throws is its answer
            self.refused[key] = str(e).strip().split("\n")[0][:160]
            if not self.smoke:
                torch.cuda.empty_cache()

    def seconds(self, key):
        torch = self.torch
        if self.smoke:
            return [1e-6]
        times = []
        for _ in range(REPEATS):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            self.ready[key].replay()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end) / LAUNCHES * 1e3)  # microseconds
        return times

    def measure(self, shapes, before=None):
        """One round: the fastest way of every shape. Graphs are made when they are needed and then
        let go, or they would not all fit.

        before  all ways' medians of the first round; None is that round
        -> {(what, pass, N, precision): (us list, way)}, all ways' medians
        """
        best, ways = {}, {}
        for what, nodes, envs in shapes:
            for precision in ("fp32", "tf32", "bf16"):
                for backward in (False, True):
                    for way in ([(b, c) for b in BACKENDS for c in (False, True)] if what == "core"
                                else [("encoder", False), ("encoder", True)]):
                        row = (what, table.PASSES[backward], nodes, precision)
                        fastest = sorted(before.get(row, {}), key=before.get(row, {}).get)[:2] if before else None
                        if fastest is None or self.name(way) in fastest:
                            self.one(row, envs, backward, way, best, ways)
        return best, ways

    @staticmethod
    def name(way):
        return way[0].lower().replace("_attention", "") + (" compiled" if way[1] else "")

    def one(self, row, envs, backward, way, best, ways):
        what, _, nodes, precision = row
        backend, compiled = way
        key = (what, nodes, envs, backward, precision, backend, compiled)
        if key in self.refused:
            return
        if what == "core":
            self.prepare(key, lambda: self.core(envs, nodes, precision, backend, compiled, backward))
        else:
            self.prepare(key, lambda: self.encoder(envs, nodes, precision, compiled, backward))
        if key not in self.ready:
            return
        us = self.seconds(key)
        del self.ready[key]  # and with it the memory of its graph
        name = self.name(way)
        ways.setdefault(row, {})[name] = statistics.median(us)
        if row not in best or statistics.median(us) < statistics.median(best[row][0]):
            best[row] = (us, name)


def clocks():
    try:
        words = "name,clocks.sm,clocks.mem,utilization.gpu,temperature.gpu"
        return subprocess.run(["nvidia-smi", f"--query-gpu={words}", "--format=csv,noheader"],
                              capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "nvidia-smi is not there"


def run_cra(cra):
    done = subprocess.run([cra, "bench", "cuda", "--json", "--rounds", str(REPEATS)],
                          capture_output=True, text=True)
    if done.returncode:
        fail(f"{cra} bench cuda: exit {done.returncode}\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("cra", nargs="?")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    a = parser.parse_args()
    if a.smoke:
        half, shapes = Torch(True), [("core", 5, 3), ("encoder", 5, 3)]
        ways = half.measure(shapes)[1]
        again = half.measure(shapes, ways)[1]
        assert ways.keys() == again.keys() and all(len(w) <= 2 for w in again.values())
        print(f"smoke: {len(ways)} rows, {sum(map(len, ways.values()))} ways, refused: "
              f"{json.dumps({' '.join(map(str, k)): v for k, v in half.refused.items()}, indent=1)}")
        return
    if not a.cra:
        parser.error("which program? tools/bench_cuda.py CRA")
    half = Torch(False)
    shapes = [(what, n, ROWS // n) for what in ("core", "encoder") for n in NODES]
    reports, rounds, state, ways = [], [], [], None
    for r in range(a.rounds):
        state.append(clocks())
        print(f"round {r + 1} of {a.rounds}: {state[-1]}", file=sys.stderr)
        best, found = half.measure(shapes, ways)
        ways = ways or found
        rounds.append(best)
        reports.append(run_cra(a.cra))
    merged = table.merge(reports, rounds)
    folder = pathlib.Path(__file__).resolve().parent.parent / "results" / "bench" / table.slug(merged["device"])
    page = folder / "attention.md"
    if page.exists() and not a.force:
        fail(f"{page} is there; --force replaces it")
    folder.mkdir(parents=True, exist_ok=True)
    merged["clocks"], merged["torch"] = state, half.torch.__version__
    merged["refused"] = {" ".join(map(str, k)): v for k, v in half.refused.items()}
    (folder / "attention.json").write_text(json.dumps(merged, indent=1) + "\n")
    page.write_text(table.markdown(merged))
    print(page.read_text())
    print(f"written: {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
