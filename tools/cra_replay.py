#!/usr/bin/python3
"""Recomputes every slot of /trajectory from the equations of results/FORMAT.md, without cra.

usage: tools/cra_replay.py RESULT.h5     exit 0 when all agree to 1e-9, 1 otherwise

In Python, tools/cra_results.py has it as Result.replay(). Written from the equations and not from
the program, which tests hold against it; needs numpy and h5py.
"""
import pathlib
import sys

import h5py
import numpy as np


def waterfill(w, cap, needs, budgets):
    """Rates min(cap, theta w), by bisection of theta: what they take of each resource only grows."""
    w = np.maximum(w / w.max(), 1e-9)
    fits = lambda theta: (needs.T @ np.minimum(cap, theta * w) <= budgets).all()
    low, high = 0.0, (cap / w).max()
    if fits(high):
        return cap.copy()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    # The level is now known to rounding, and with it who is capped; the rest follows in one step.
    free = low * w < cap
    left = budgets - needs[~free].T @ cap[~free]
    pull = needs[free].T @ w[free]
    theta = min((left[k] / pull[k] for k in range(len(pull)) if pull[k] > 0), default=low)
    return np.where(free, np.minimum(cap, theta * w), cap)


def largest(low, high, fits):
    """Largest number in [low, high] that fits, by bisection."""
    if fits(high):
        return high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def clip_and_give(rule, w, cap, needs, budgets, importance, quantum, t):
    """Uncapped shares cut at the capacity; the excess by the rule. Also what nobody gets."""
    w = np.maximum(w / w.max(), 1e-9)
    theta = min(b / pull for b, pull in zip(budgets, needs.T @ w) if pull > 0)
    s = np.minimum(cap, theta * w)
    left = budgets - needs.T @ s
    if rule == b"none":
        return s, needs.T @ (theta * w - s)
    can = lambda n: max(0.0, min([cap[n] - s[n]] + [left[k] / d for k, d in enumerate(needs[n]) if d > 0]))
    if rule == b"maxmin":
        if (left > 1e-12 * budgets).all():
            room = cap - s
            s = s + np.minimum(room, largest(0, room.max(), lambda x: (
                needs.T @ np.minimum(room, x) <= left).all()))
        return s, 0 * left
    order = np.argsort(-importance, kind="stable") if rule == b"priority" else (t + np.arange(len(w))) % len(w)
    most = np.full(len(w), np.inf) if rule == b"priority" else quantum / needs.max(1)
    while max(can(n) for n in range(len(w))) > 1e-13:
        for n in order:
            give = min(most[n], can(n))
            s[n] += give
            left = left - give * needs[n]
    return s, 0 * left


def granted(c, w, told, tilt, importance, t, r):
    """Commanded rates, and the share of the budgets that is granted and of no use. told: shares of
    each resource as stored, which must be those that follow from the bundle w, and from the tilt [K, N]
    of a policy with resource heads; 1 of any other."""
    cap, needs, budgets = c["capacity"], c["needs"], (1 - r) * c["budgets"]
    idle = np.zeros(len(budgets))
    if c["service"] == b"lottery":
        return w * c["completion"] * c["job"], 0.0
    if c["action"] == b"per_resource":
        # What the bundle would be granted, in shares of each resource.
        rates = needs * waterfill(w, cap, needs, budgets)[:, None] * np.transpose(tilt)
        rates = np.maximum(rates, 1e-9 * rates.max(0))
        P = (rates / rates.sum(0)).T
        if told is not None and np.abs(P - told).max() > 1e-9:
            return np.full(len(w), np.nan), np.nan
        P = P if told is None else told
        with np.errstate(divide="ignore"):
            s = np.minimum(cap, np.where(needs > 0, P.T * budgets / needs, np.inf).min(1))
        idle = np.minimum(P.T * budgets, cap[:, None] * needs).sum(0) - needs.T @ s
    elif c["action"] == b"raw":
        s = w * cap
        s = s * min(1, (budgets / (needs.T @ s)).min())
    elif c["conflict"] in (b"waterfill", b"gps"):
        s = waterfill(w, cap, needs, budgets)
    else:
        s, idle = clip_and_give(c["conflict"], w, cap, needs, budgets, importance, c["quantum"], t)
    return s, (idle / c["budgets"]).mean()


def lent(w, rate, served, most, needs):
    """Work done with placed rates that have no work of their own."""
    unused, room = needs.T @ (rate - served), most - served
    w = np.maximum(w / w.max(), 1e-9)
    return np.minimum(room, w * largest(0, (room / w).max(), lambda x: (
        needs.T @ np.minimum(room, x * w) <= unused).all()))


def lottery(c, d, i, t, w, load):
    drawn = min(int((np.cumsum(w) <= d["ticket"][i, t]).sum()), len(w) - 1)
    served = np.zeros(len(w))
    if d["availability"][i, t, drawn] > 0 and d["completion"][i, t] < c["completion"][drawn]:
        served[drawn] = min(c["job"], load[drawn])
    return served


def dispatch_optimal(load, most, weight, scale, can):
    """Least summed weighted error: y = load - u such that weight error'(y) is the same price
    wherever 0 < u < most; the price by bisection."""
    if most.sum() <= can:
        return most

    def at(price):  # error'(y) = (1 - (1 + y / scale)^-2) / scale
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = 1 - price * scale / weight
            y = np.where(rest > 0, scale * (np.sqrt(1 / rest) - 1), np.inf)
        return np.clip(load - y, 0, most)

    low, high = 0.0, (weight / scale).max()  # nobody buys at the price `high`
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle).sum() > can else (low, middle)
    return at(high)


def dispatch_priority(most, weight, can, needs):
    """Shares by weight, then of the rest, as far as every resource goes; then in order what still fits."""
    fits = lambda there, wanted: min([1.0] + [t / w for t, w in zip(there, wanted) if w > 0])
    u = np.minimum(most, weight * most * fits(can, needs.T @ (weight * most)))
    u = u + fits(np.maximum(0, can - needs.T @ u), needs.T @ (most - u)) * (most - u)
    left = np.maximum(0, can - needs.T @ u)
    left[left < 1e-13 * np.maximum(can, 1)] = 0  # what rounding has left of a resource that is used up
    for n in np.argsort(-weight, kind="stable"):
        give = max(0, min([most[n] - u[n]] + [left[k] / d for k, d in enumerate(needs[n]) if d > 0]))
        u[n] += give
        left = np.maximum(0, left - give * needs[n])
    return u


def progress_error(c, x):
    """Error of progress nodes; what it says of queue nodes is not used."""
    if c["progress_error"] == b"curve":
        knots = np.isfinite(c["knot_progress"])
        return np.array([np.interp(x[n], c["knot_progress"][n, knots[n]], c["knot_error"][n, knots[n]])
                         if knots[n].any() else np.nan for n in range(len(x))])
    along = x / c["progress_scale"]
    fall = (1 + along) ** -c["progress_exponent"] if c["progress_error"] == b"power_law" else np.exp(-along)
    return c["progress_floor"] + c["progress_gain"] * fall


def end_of_queue(c, waiting, arrivals, earlier, served):
    """Error, lost work and backlog of queue nodes. earlier: arrivals of the slots before, newest last."""
    kind, theta = c["error_kind"], c["abandonment"]
    if kind == b"backlog":
        z = waiting / c["error_scale"]
        return z * z / (1 + z), theta * waiting, (1 - theta) * waiting
    if kind == b"linear":
        return waiting / c["error_scale"], theta * waiting, (1 - theta) * waiting
    if kind == b"miss":
        return theta * waiting / c["error_mean"], theta * waiting, (1 - theta) * waiting
    if kind == b"deadline":
        slots = np.nan_to_num(c["deadline"], nan=1).astype(int)
        in_time = np.array([(arrivals[n] + sum(a[n] for a in earlier[max(0, len(earlier) - s + 2):])) if s > 1 else 0
                            for n, s in enumerate(slots)])
        late = np.maximum(0, waiting - in_time)
        return late / c["error_mean"], late, waiting - late
    with np.errstate(divide="ignore", invalid="ignore"):
        fall = (1 + served / arrivals / c["anytime_scale"]) ** -c["anytime_exponent"]
        error = np.where(arrivals > 0, arrivals * (c["anytime_floor"] + c["anytime_gain"] * fall), 0)
    return error, 0 * error, 0 * error


def scores(c, error, reference):
    if c["score_kind"] == b"linear":
        return 1 - error
    if c["score_kind"] == b"reference":
        return 1 - error / reference
    return (1 - np.minimum(error, 1)) / max(0.05, 0.05 * np.log(np.exp(error / 0.05).sum()))


def tilts(c, d, learned):
    """What resource heads of the policy `learned` made of the shares that follow from the bundles,
    [policies, I, T, K, N]. The network is not run again: only that its shares are used is checked."""
    tilt = np.ones(d["resource_proportion"].shape)
    p = list(d["policy"]).index(learned)
    for i, t in np.ndindex(d["proportion"].shape[1:3]):
        rates = waterfill(d["proportion"][p, i, t], c["capacity"], c["needs"],
                          (1 - d["reserve"][p, i, t]) * c["budgets"])
        for k, need in enumerate(c["needs"].T):
            np.divide(d["resource_proportion"][p, i, t, k], need * rates, out=tilt[p, i, t, k], where=need > 0)
    return tilt


def replay(c, d, p, i, equal=False):
    """Yields, slot by slot, all that /trajectory should hold of policy p in episode i; or what equal
    weights without a reserve would lead to."""
    queue = c["dynamics"] == b"queue"
    waits = queue & (c["error_kind"] != b"anytime")
    reference = d["reference_error"][i] if "reference_error" in d else np.nan
    cap, needs, budgets = c["capacity"], c["needs"], c["budgets"]
    n, dispatch = len(cap), c["reserve_dispatch"]
    rate, backlog, x = c["initial_rate"], np.zeros(n), np.full(n, c["progress_start"])
    for t in range(d["arrivals"].shape[1]):
        W, before, r = d["importance"][i, t], rate, 0 if equal else d["reserve"][p, i, t]
        arrivals = d["arrivals"][i, t]
        w = np.full(n, 1 / n) if equal else d["proportion"][p, i, t]
        told = None if equal or "resource_proportion" not in d else d["resource_proportion"][p, i, t]
        tilt = 1 if equal or "tilt" not in d else d["tilt"][p, i, t]
        grant, waste = granted(c, w, told, tilt, W, t, r)
        lag = 1.0 if c["service"] == b"lottery" else c["lag"]
        rate = (1 - lag) * before + lag * grant
        up = d["availability"][i, t] * cap
        load = np.where(waits, backlog + arrivals, np.where(queue & (arrivals == 0), 0, np.inf))
        served = np.minimum(np.minimum(rate, up), load)
        if c["service"] == b"lottery":
            served = lottery(c, d, i, t, w, load)
        elif c["conflict"] == b"gps":
            served = served + lent(w, rate, served, np.minimum(up, load), needs)
        dispatched, waiting = np.zeros(n), np.where(waits, load - served, 0)
        if dispatch != b"none":
            can = c["reserve_efficiency"] * np.minimum(r * budgets, np.maximum(0, budgets - needs.T @ rate))
            most = np.where(queue, np.minimum(waiting, np.maximum(0, up - served)), 0)
            q = queue  # what progress nodes have in place of a scale is no number
            dispatched[q] = (
                dispatch_optimal(waiting[q], most[q], W[q], c["error_scale"][q], can[0] / needs[0, 0])
                if dispatch == b"optimal" else dispatch_priority(most[q], W[q], can, needs[q]))
        waiting = waiting - dispatched
        error, lost, backlog = end_of_queue(c, waiting, arrivals, d["arrivals"][i, :t], served)
        lost, backlog = np.where(queue, lost, 0), np.where(queue, backlog, 0)
        gained = served.copy()
        if "link" in c:
            np.add.at(gained, c["link_follower"], c["link_weight"] * served[c["link_hub"]])
        x = d["keep"][i, t] * (1 - c["forgetting"]) * x + gained
        error = np.where(queue, error, progress_error(c, x))
        smooth, h = c["switching_smoothing"], c["worst_temperature"]
        moved = np.sqrt((rate - before) ** 2 + smooth**2) - smooth
        share = needs * grant[:, None] / budgets
        now = {
            "grant": grant, "rate": rate, "served": served, "dispatched": dispatched, "lost": lost,
            "backlog": backlog, "progress": np.where(queue, np.nan, x), "error": error,
            "error_cost": (W * error).mean(), "switching_cost": c["switching"] * moved.mean(),
            "fairness_cost": c["worst"] * h * np.log(np.exp(error / h).mean()),
            "use_cost": (c["use"] * share.sum(0) + c["concentration"] * n * (share**2).sum(0)).mean(),
            "score": (W * scores(c, error, reference)).sum() / W.sum() if W.sum() > 0 else 1.0,
            "waste": waste,
        }
        now["cost"] = sum(now[f"{term}_cost"] for term in ("error", "switching", "fairness", "use"))
        yield t, now


def errors(c, d):
    """Largest distance of what is stored from what follows, by variable, and the number of slots.
    c: arrays of /node, d: of /trajectory, by name."""
    worst, checked = {}, 0
    if c["score_kind"] == b"reference":
        equal = [np.mean([now["error"] for _, now in replay(c, d, 0, i, equal=True)])
                 for i in range(len(d["reference_error"]))]
        worst["reference_error"] = np.abs(np.maximum(equal, 1e-3) - d["reference_error"]).max()
    for p, i in np.ndindex(d["proportion"].shape[:2]):
        for t, now in replay(c, d, p, i):
            for name, value in now.items():
                stored = d[name][p, i, t]
                # Missing must be missing on both sides.
                off = np.where(np.isnan(stored) & np.isnan(value), 0, np.abs(stored - value)).max()
                worst[name] = max(worst.get(name, 0.0), off if np.isfinite(off) else np.inf)
            checked += 1
    return worst, checked


def load(path):
    """Arrays of /node and /trajectory by name; the segments of a trajectory put together."""
    with h5py.File(path) as f:
        c = {name: x[()] for name, x in f["node"].items()}
        tilted = "policy" in f and b"resource_head.weight" in list(f["policy/tensor"][()])
        learned = f["summary/learned"][()]
        if "trajectory" in f:
            d = {name: x[()] for name, x in f["trajectory"].items()}
        else:
            d = joined(pathlib.Path(path).parent / pathlib.Path(name.decode()).name for name in f["segment/file"])
    if tilted:
        d["tilt"] = tilts(c, d, learned)
    return c, d


def joined(segments):
    """Arrays of /trajectory by name, of which each file has some episodes."""
    whole, axes = {}, {}
    for part in segments:
        with h5py.File(part) as f:
            for name, x in f["trajectory"].items():
                whole.setdefault(name, []).append(x[()])
                # An array knows its axes by the scales that are attached to it; a scale is its own.
                axes[name] = [name] if h5py.h5ds.is_scale(x.id) else [dim.keys()[0] for dim in x.dims]
    return {name: np.concatenate(x, axes[name].index("episode")) if "episode" in axes[name] else x[0]
            for name, x in whole.items()}


def main(path):
    worst, checked = errors(*load(path))
    print(f"{checked} slots,", ", ".join(f"{name} {off:.1e}" for name, off in worst.items()))
    return 0 if checked and max(worst.values()) <= 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
