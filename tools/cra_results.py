#!/usr/bin/python3
"""Results of cra in Python: a file, or a folder of files, as xarray and as tidy pandas tables.

    import cra_results as cr
    run = cr.open_result("results/runs/traffic-s1.h5")
    run["eval"].cost.mean("episode")          # a group as xarray.Dataset
    run.policies()                            # the printed table as pandas.DataFrame
    run.replay("uniform", episode=0)          # a trajectory, recomputed from the equations alone
    runs = cr.open_folder("results/runs")     # many runs; what differs between them labels them
    runs["eval"].cost.mean("episode")         # with a dimension `run`
    runs.policies()                           # with a column for every key that differs

Or in a shell: tools/cra_results.py FILE.h5... prints a summary of each and says whether file and
replay hold. Needs numpy, h5py, xarray and pandas; Debian 12's versions and later ones. What the
arrays mean stands in results/FORMAT.md. Nothing here needs the program, or runs anything of a file.
"""
import hashlib
import json
import pathlib
import sys

import h5py
import numpy as np
import pandas as pd
import xarray as xr

FORMATS = ("1.5",)
SEAL = b"\nCRA-SHA256 "


class ResultError(Exception):
    """A file is not a result, is damaged, or contradicts itself. Says which, and what."""


def seal(path):
    """The SHA-256 that a result or a segment ends with. -> 64 hexadecimal digits

    Raises ResultError when the file has none, or does not hold what it was written with."""
    raw = pathlib.Path(path).read_bytes()
    tail = raw[-len(SEAL) - 65:]
    if not tail.startswith(SEAL) or tail[-1:] != b"\n":
        raise ResultError(f"{path}: no SHA-256 at its end (cut short, or no result of cra)")
    found = hashlib.sha256(raw[:-len(tail)]).hexdigest()
    if tail[len(SEAL):-1].decode("ascii", "replace") != found:
        raise ResultError(f"{path}: damaged or changed: the SHA-256 at its end is of other contents")
    return found


class Result:
    """One result file. Groups are read when they are asked for, and kept."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        try:
            with h5py.File(self.path) as file:
                self.attributes = dict(file.attrs)
                self.groups = tuple(file)
        except OSError as error:
            raise ResultError(f"{path}: {error}") from None
        kind, version = (self.attributes.get(f"cra_format{x}") for x in ("", "_version"))
        if kind != "cra-run" or version not in FORMATS:
            raise ResultError(f"{path}: format {kind} {version}, expected cra-run {' or '.join(FORMATS)}")
        if "segment" in self.groups:
            self.groups += ("trajectory",)
        self._read = {}

    def __repr__(self):
        return f"<{self.attributes['title']}: {self.path}, groups {' '.join(self.groups)}>"

    def __contains__(self, group):
        return group in self.groups

    def __getitem__(self, group):
        """A group as xarray.Dataset, in memory; /trajectory with its segments put together."""
        if group not in self.groups:
            raise KeyError(f"{self.path} has no group {group}, only {', '.join(self.groups)}")
        if group not in self._read:
            if group == "trajectory" and "segment" in self.groups:
                parts = [xr.load_dataset(path, group=group) for path in self.segments()]
                self._read[group] = xr.concat(parts, "episode", data_vars="minimal", join="exact")
            else:
                self._read[group] = xr.load_dataset(self.path, group=group)
        return self._read[group]

    def segments(self):
        """Paths of the files that hold the trajectories; none when this file does."""
        if "segment" not in self.groups:
            return []
        names = [str(name) for name in self["segment"].file.values]
        for name in names:
            if pathlib.PurePath(name).name != name:
                raise ResultError(f"{self.path}: segment {name!r} is no plain file name")
        return [self.path.parent / name for name in names]

    def verify(self):
        """Checks the seal of this file, and of every segment also the digest that it was listed
        with. Raises ResultError that names the first file that is missing or is not as written."""
        seal(self.path)
        for path, digest in zip(self.segments(), self["segment"].sha256.values if self.segments() else ()):
            if not path.exists():
                raise ResultError(f"{path}: missing, a segment of {self.path}")
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise ResultError(f"{path}: not the segment that {self.path} was written with")
            seal(path)

    def settings(self):
        """Every key of the scenario with its value, defaults and overrides applied: {"pool.nodes": 12}."""
        return flatten(str(self["provenance"].resolved_yaml.item()))

    # ---- tidy tables: one row per observation ------------------------------------------

    def _table(self, group, axes, key=None):
        """Rows for all combinations of labels along `axes`; the variables that have axis `key` and
        no axis but these."""
        if group not in self:
            return pd.DataFrame()
        data = self[group]
        names = [name for name, x in data.data_vars.items()
                 if x.dims and set(x.dims) <= set(axes) and (key is None or key in x.dims)]
        if not names:
            return pd.DataFrame()
        return data[names].to_dataframe(dim_order=axes).reset_index()

    def policies(self):
        """The table that cra prints: a row per policy, as /summary holds it."""
        return self._table("summary", ["policy"])

    def summary(self):
        """All of /summary that is one number or text. -> pandas.Series"""
        data = self["summary"]
        return pd.Series({name: x.item() for name, x in data.data_vars.items() if not x.dims}, dtype=object)

    def episodes(self):
        """A row per policy and test episode, with the bound of the episode."""
        return self._table("eval", ["policy", "episode"])

    def training(self):
        """A row per training and update that was made."""
        rows = self._table("train", ["training", "update"])
        return rows[rows["update"] <= rows.updates].reset_index(drop=True) if len(rows) else rows

    def validation(self):
        """A row per training and validation that was made."""
        return self._table("train", ["training", "validation"], "validation").dropna(
            subset=["validation_cost"]) if "train" in self else pd.DataFrame()

    def tuning(self):
        """A row per combination of knobs that was tried, with a column per knob of any baseline."""
        rows = self._table("tuning", ["candidate"])
        if not len(rows):
            return rows
        knobs = pd.DataFrame([json.loads(text) for text in rows.knobs], index=rows.index)
        return pd.concat([rows.drop(columns="knobs"), knobs.add_prefix("knob.")], axis=1)

    def slots(self):
        """A row per policy, recorded episode and slot: the terms of the cost."""
        return self._table("trajectory", ["policy", "episode", "slot"], "slot")

    def nodes(self):
        """A row per policy, recorded episode, slot and node: what arrived, was sent, waits."""
        return self._table("trajectory", ["policy", "episode", "slot", "node"], "node")

    def attention(self):
        """A row per explained episode, slot and node: attention received, value, allocation."""
        return self._table("attention", ["episode", "slot", "node"], "node")

    # ---- recomputed ----------------------------------------------------------------------

    def _arrays(self, group):
        """A group as the replay wants it: numpy arrays by name, texts as bytes."""
        found = {}
        for name, x in self[group].variables.items():
            values = x.values
            if values.dtype.kind in "OU":
                values = np.array([str(v).encode() for v in values.flat], dtype=object).reshape(values.shape)
            found[name] = values[()]
        return found

    def _replayed(self):
        """What a replay starts from: /node and /trajectory."""
        import cra_replay

        node, trajectory = self._arrays("node"), self._arrays("trajectory")
        if "policy" in self.groups and "resource_head.weight" in self["policy"].tensor.values:
            learned = str(self["summary"].learned.item()).encode()
            trajectory["tilt"] = cra_replay.tilts(node, trajectory, learned)
        return node, trajectory

    def replay(self, policy, episode=0):
        """A recorded episode under a policy, recomputed from what arrived and what the policy asked
        for, by the equations of FORMAT.md alone. -> xarray.Dataset with axes slot and node, named as
        in /trajectory: subtract the two to see that they agree"""
        import cra_replay

        t = self["trajectory"]
        p, i = t.get_index("policy").get_loc(policy), t.get_index("episode").get_loc(episode)
        slots = [now for _, now in cra_replay.replay(*self._replayed(), p, i)]
        axes = {name: ("slot", "node") if np.ndim(x) else ("slot",) for name, x in slots[0].items()}
        return xr.Dataset({name: (axes[name], np.array([now[name] for now in slots])) for name in axes},
                          coords={"slot": t.slot, "node": t.node})

    def replay_errors(self):
        """Largest distance of any recorded number from its replay, over all policies and episodes.
        -> pandas.Series by variable; 1e-9 is what the format allows"""
        import cra_replay

        return pd.Series(cra_replay.errors(*self._replayed())[0])

    def recompute(self):
        """The table of policies() once more, from the episodes of /eval alone: all but the ends of
        the bootstrap intervals, which depend on random draws. -> pandas.DataFrame by policy"""
        e, s = self["eval"], self["summary"]
        learned, best = str(s.learned.item()), str(s.best_heuristic.item())
        trained = e.training.values >= 0

        def rows(policy, name):
            own = trained if policy == learned and trained.any() else e.policy.values == policy
            return e[name].values[own].mean(0)

        def mean_and_se(x):
            return x.mean(), x.std(ddof=1) / len(x) ** 0.5 if len(x) > 1 else 0.0

        lower, table = e.bound_lower.values, {}
        reference = rows(best, "cost") if best else None
        for policy, kind in zip(s.policy.values, s.kind.values):
            cost = lower if kind == "bound" else rows(policy, "cost")
            row = dict.fromkeys(["score", "paired_difference", "paired_se", "episodes_won", "gap_closed"], np.nan)
            row["cost"], row["cost_se"] = mean_and_se(cost)
            if kind != "bound":
                row["score"] = rows(policy, "score").mean()
                if best and policy != best:
                    row["paired_difference"], row["paired_se"] = mean_and_se(cost - reference)
                    row["episodes_won"] = (cost < reference).mean()
                    gap = reference.mean() - lower.mean()
                    if gap > 1e-3 * abs(reference.mean()):
                        row["gap_closed"] = (reference.mean() - cost.mean()) / gap
            table[policy] = row
        return pd.DataFrame.from_dict(table, orient="index").rename_axis("policy")


class Results:
    """Several runs, in the order of their names. Groups come with a dimension `run`, tables with a
    column for every key of the scenario that is not the same in all."""

    def __init__(self, runs):
        self.runs = list(runs)
        if not self.runs:
            raise ResultError("no results of cra there")
        settings = [run.settings() for run in self.runs]
        keys = [key for key in dict.fromkeys(k for s in settings for k in s)
                if any(s.get(key) != settings[0].get(key) for s in settings)]
        self.labels = pd.DataFrame([{key: s.get(key) for key in keys} for s in settings],
                                   index=pd.Index([run.path.stem for run in self.runs], name="run"))

    def __repr__(self):
        return f"<{len(self.runs)} runs that differ in {', '.join(self.labels) or 'nothing'}>"

    def __len__(self):
        return len(self.runs)

    def __iter__(self):
        return iter(self.runs)

    def __getitem__(self, group):
        """A group of all runs that have it, with a dimension `run`: labels of all other axes are
        united, and where a run lacks one its numbers are missing. What differs between the runs
        stands beside `run` as coordinates."""
        there = [i for i, run in enumerate(self.runs) if group in run]
        if not there:
            raise KeyError(f"none of {len(self.runs)} runs has a group {group}")
        labels = self.labels.iloc[there]
        whole = xr.concat([self.runs[i][group] for i in there], pd.Index(labels.index, name="run"),
                          join="outer", data_vars="all")
        return whole.assign_coords({name: ("run", column_of(labels[name])) for name in labels})

    def _joined(self, table):
        frames = []
        for name, labels, run in zip(self.labels.index, self.labels.to_dict("records"), self.runs):
            frame = getattr(run, table)()
            for at, (key, value) in enumerate([("run", name), *labels.items()]):
                frame.insert(at, key, value)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def policies(self):
        """policies() of every run, one below the other."""
        return self._joined("policies")

    def episodes(self):
        """episodes() of every run."""
        return self._joined("episodes")

    def training(self):
        """training() of every run."""
        return self._joined("training")

    def tuning(self):
        """tuning() of every run."""
        return self._joined("tuning")

    def summary(self):
        """summary() of every run, a row each. -> pandas.DataFrame by run"""
        return pd.concat([self.labels, pd.DataFrame([run.summary() for run in self.runs],
                                                    index=self.labels.index)], axis=1)


def column_of(values):
    """Numbers as numbers; a column of several kinds as texts, which every tool can hold."""
    kinds = {type(v) for v in values}
    if kinds <= {int, float} and kinds:
        return np.array(list(values), dtype=float if float in kinds else int)
    return np.array([str(v) for v in values], dtype=object)


def scalar(text):
    """A value of a resolved scenario: number, truth value or text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text


def flatten(yaml):
    """{"a.b": value} of the block YAML that resolved scenarios are; items of lists are numbered."""
    flat, open_, items = {}, [], {}
    for line in yaml.splitlines():
        text = line.lstrip(" ")
        indent = len(line) - len(text)

        def path(column):
            while open_ and open_[-1][0] >= column:
                open_.pop()
            return "".join(f"{name}." for _, name in open_)

        while text.startswith("- "):
            parent = path(indent)
            open_.append((indent, str(items.setdefault(parent, 0))))
            items[parent] += 1
            text, indent = text[2:], indent + 2
        if not text or text.startswith("#"):
            continue
        name, colon, value = text.partition(":")
        prefix = path(indent)
        if not colon:
            flat[prefix.rstrip(".")] = scalar(text)
        elif value.strip():
            flat[prefix + name] = scalar(value.strip())
        else:
            open_.append((indent, name))
    return flat


def open_result(path):
    """One result file. Raises ResultError when it is none."""
    return Result(path)


def open_folder(folder, pattern="*.h5"):
    """All results in a folder whose names fit the pattern, in the order of their names. What is no
    result, such as a segment, is left out."""
    runs = []
    for path in sorted(pathlib.Path(folder).glob(pattern)):
        try:
            runs.append(Result(path))
        except ResultError:
            continue
    return Results(runs)


def describe(run):
    """A summary for people: what ran, the table, the verdict."""
    p, s = run["provenance"], run.summary()
    columns = ["policy", "kind", "cost", "cost_se", "paired_difference", "ci_low", "ci_high", "episodes_won", "gap_closed"]
    table = run.policies()[columns].sort_values("cost")
    lines = [f"{run.attributes['title']}: {run.path}",
             f"cra {p.version.item()}, seed {p.seed.item()}, {s.episodes} test episodes, "
             f"{s.env_steps} env-steps of training",
             table.to_string(index=False, float_format=lambda x: f"{x:.4g}", na_rep=""), str(s.verdict)]
    if "trajectory" in run:
        t = run["trajectory"]
        lines.append(f"recorded: {t.sizes['episode']} episodes of {t.sizes['slot']} slots under "
                     f"{t.sizes['policy']} policies, in {max(1, len(run.segments()))} file(s)")
    return "\n".join(lines)


def main(paths):
    """Prints a summary of each file. -> 0 when all are whole and follow from the equations, else 1"""
    good = True
    for path in paths:
        try:
            run = open_result(path)
            run.verify()
            print(describe(run))
            if "trajectory" in run:
                worst = run.replay_errors()
                fine = worst.max() <= 1e-9
                good &= bool(fine)
                print(f"replay: {'agrees' if fine else 'DOES NOT AGREE'}, off by at most "
                      f"{worst.max():.1e} ({worst.idxmax()})")
            print("seal: as it was written\n")
        except ResultError as error:
            print(f"cra_results: {error}", file=sys.stderr)
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1:]))
