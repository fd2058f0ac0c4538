"""Pages of `cra report`: well-formed, alone, true to the file, harmless, the same to the byte.

usage: test_report.py CRA MAKE_RUN TINY.yaml [unittest options]

The page is read by Python's XML and HTML parsers, its numbers are held against the result file as h5py reads it,
positions of marks against the numbers they stand for, and colours against matplotlib's.
"""

import html.parser
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import h5py
import matplotlib
import numpy as np

CRA, MAKE_RUN, TINY = (str(pathlib.Path(a).resolve()) for a in sys.argv[1:4])
TAGS = re.compile(r"<[a-z][^>]*>")
NUMBERS = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "d", "viewBox", "transform"}
VOID = {"meta"}
SVG_LIMIT, SCRIPT_LIMIT = 2_000_000, 20_000


def call(*words, code=0):
    done = subprocess.run([CRA, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode != code:
        raise AssertionError(f"cra {words}: exit {done.returncode}, expected {code}\n{done.stderr}")
    return done


class Structure(html.parser.HTMLParser):
    """What a browser sees: tags that close in the order they were opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.scripts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


def faults_of(text):
    """Everything that is wrong with a page by itself."""
    found = []
    structure = Structure(text)
    found += structure.faults + [f"<{tag}> stays open" for tag in structure.open]
    tree = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    ids = [e.get("id") for e in tree.iter() if e.get("id")]
    found += [f"id {i} is there twice" for i in set(ids) if ids.count(i) > 1]
    for element in tree.iter():
        tag = element.tag
        for name, value in element.attrib.items():
            if name in ("src", "href", "action", "srcset", "data") or name.startswith("on"):
                found.append(f"<{tag} {name}={value}>")
            if name in NUMBERS and re.search(r"nan|inf", value, re.I):
                found.append(f"<{tag} {name}={value[:80]}>")
        if tag == "svg":
            children = [c.tag for c in element][:2]
            if element.get("role") != "img" or children != ["title", "desc"] or not element.get("aria-label"):
                found.append("an svg without role, title or desc")
        if tag == "th" and element.get("scope") not in ("row", "col"):
            found.append("a th without scope")
        if tag in ("link", "iframe", "img", "image", "object", "embed", "base", "form"):
            found.append(f"<{tag}>")
        if tag == "figure" and not "".join(element.find("figcaption").itertext()).strip():
            found.append("a figure without a caption")
    style = tree.find("head/style").text
    found += [f"style: {m}" for m in re.findall(r"url\(|@import|expression\(|https?:", style)]
    if len(structure.scripts) != 2:
        found.append(f"{len(structure.scripts)} scripts")
    own = structure.scripts[-1]
    found += [f"script: {m}" for m in re.findall(r"https?:|fetch\(|XMLHttp|import |eval\(|innerHTML", own)]
    if len(own) > SCRIPT_LIMIT:
        found.append(f"{len(own)} bytes of script")
    if len(text.encode()) > SVG_LIMIT:
        found.append(f"{len(text.encode())} bytes")
    if "default-src 'none'" not in text:
        found.append("no content security policy")
    return found


def data_of(text):
    return json.loads(Structure(text).scripts[0])


def svg_of(text, heading):
    """The drawing below a heading."""
    tree = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    (figure,) = [f for f in tree.iter("figure") if f.find("h3").text == heading]
    return figure.find("svg")


def names(group, dataset="policy"):
    return [n.decode() for n in group[dataset][()]]


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        for kind in ("full", "empty", "hostile"):
            subprocess.run([MAKE_RUN, cls.path / f"{kind}.h5", *([] if kind == "full" else [kind])], check=True)
        cls.run_tiny("tiny", "--set", "training.seeds=3")
        cls.run_tiny("other", "--seed", "5", "--set", "evaluation.bound=false")
        cls.run_tiny("bare", "--set", "output.trajectories=0", "--set", "attention.kind=none")
        call("evaluate", TINY, "--policy", "demand", "uniform", "--quiet", "--out", cls.path / "none.h5")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_tiny(cls, name, *more):
        call("run", TINY, "--quiet", "--out", cls.path / f"{name}.h5", *more)

    def page(self, *results):
        out = self.path / "page.html"
        done = call("report", *(self.path / f"{r}.h5" for r in results), "-o", out, "--force")
        self.assertEqual(done.stdout, f"{out}\n")
        return out.read_text(encoding="utf-8")

    def test_every_page_is_well_formed_and_needs_nothing_else(self):
        for results in (["full"], ["empty"], ["hostile"], ["tiny"], ["other"], ["bare"], ["none"], ["tiny", "other"],
                        ["tiny", "full", "bare", "none", "hostile", "tiny"]):
            with self.subTest(results):
                self.assertEqual(faults_of(self.page(*results)), [])

    def test_the_checks_of_a_page_find_what_is_planted(self):
        page = self.page("tiny")
        for old, new in [("<main>", "<main><img src='http://x/y.png'/>"), ('cx="', 'cx="nan'),
                         ("</figcaption>", "</figcaption></figure><figure><figcaption></figcaption>"),
                         ('role="img"', ""), ('<th scope="col">', "<th>"), ("<main>", '<main id="answer">'),
                         ("<style>", "<style>@import 'x';"), ("</main>", "<script>1</script></main>")]:
            self.assertNotEqual(faults_of(page.replace(old, new, 1)), [], new)

    def test_the_same_results_give_the_same_bytes(self):
        for results in (["tiny"], ["tiny", "other"]):
            self.assertEqual(self.page(*results), self.page(*results))

    def test_names_of_strangers_stay_text(self):
        page = self.page("hostile")
        self.assertFalse("<script>alert" in page or "<img" in page)
        hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
        data = data_of(page)
        self.assertIn(hostile, [p["name"] for p in data["results"][0]["summary"]])
        tree = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
        self.assertIn(hostile, ["".join(th.itertext()) for th in tree.iter("th")])
        self.assertIn("</title><script>alert(2)</script>", "".join(tree.find("body/header").itertext()))

    def test_numbers_are_those_of_the_file(self):
        for name in ("tiny", "other", "full", "none"):
            result = data_of(self.page(name))["results"][0]
            with h5py.File(self.path / f"{name}.h5") as file:
                summary = file["summary"]
                stored = {n: i for i, n in enumerate(names(summary))}
                self.assertEqual(set(stored), {p["name"] for p in result["summary"]})
                for policy in result["summary"]:
                    for key in ("cost", "cost_se", "paired_difference", "ci_low", "ci_high", "episodes_won",
                                "gap_closed"):
                        value = summary[key][stored[policy["name"]]]
                        self.assertEqual(policy[key], None if np.isnan(value) else value, f"{name} {policy} {key}")
                costs = np.array(result["eval"]["cost"])
                np.testing.assert_allclose(costs, file["eval/cost"][()], rtol=5e-6)
                if result["trajectory"]:
                    rows = names(file["trajectory"])
                    shown = result["trajectory"]["policies"][0]
                    row = rows.index(shown["policy"]) if shown["policy"] in rows else None
                    if row is not None and result["trajectory"]["slots_per_column"] == 1:
                        np.testing.assert_allclose(np.array(shown["share"]).T,
                                                   file["trajectory/proportion"][row, 0], rtol=5e-6)

    def test_verdict_and_attention_are_the_words_of_the_program(self):
        for name in ("tiny", "other"):
            tree = ElementTree.fromstring(self.page(name).removeprefix("<!DOCTYPE html>"))
            answer = next(d for d in tree.iter("div") if d.get("class", "").startswith("answer"))
            said = " ".join("".join(answer.itertext()).split()).replace("\xa0", " ")
            printed = call("run", TINY, "--resume", "--quiet", "--out", self.path / f"{name}.h5",
                           *(["--set", "training.seeds=3"] if name == "tiny" else
                             ["--seed", "5", "--set", "evaluation.bound=false"])).stdout
            words = printed[printed.rindex("\n", 0, printed.index("the best tuned heuristic (95 %")):]
            for sentence in " ".join(words.split("\n")[1:-2]).split(". "):
                self.assertIn(" ".join(sentence.split()), said)

    def test_points_lie_where_their_numbers_say(self):
        page = self.page("tiny")
        result = data_of(page)["results"][0]
        # Learned against best heuristic, an episode a point, in the order of the file.
        with h5py.File(self.path / "tiny.h5") as file:
            policies, cost = names(file["eval"]), file["eval/cost"][()]
            best = cost[policies.index(result["best_heuristic"])]
            learned = cost[[i for i, n in enumerate(policies) if n.startswith(result["learned"] + " #")]].mean(axis=0)
        self.assertEqual(len(learned), 12)
        svg = svg_of(page, "Learned against the best tuned heuristic")
        (dots,) = [p for p in svg.iter("path") if p.get("class") == "dots large"]
        points = np.array([[float(v) for v in m.split()] for m in re.findall(r"M([-0-9. ]+)h0", dots.get("d"))])
        for number, at, sign in ((best, points[:, 0], 1), (learned, points[:, 1], -1)):
            slope, start = np.polyfit(number, at, 1)
            self.assertGreater(sign * slope, 0)
            np.testing.assert_allclose(slope * number + start, at, atol=0.02)
        # Differences with their intervals.
        svg = svg_of(page, "Difference to the best tuned heuristic")
        marks = {}
        for row in svg.iter("g"):
            circle, line = row.find("circle"), row.find("line")
            if circle is not None and line is not None:
                marks[row.get("data-policy")] = [float(line.get("x1")), float(circle.get("cx")), float(line.get("x2"))]
        summary = {p["name"]: p for p in result["summary"]}
        numbers = np.array([[summary[n][k] for k in ("ci_low", "paired_difference", "ci_high")] for n in marks])
        at = np.array(list(marks.values()))
        slope, start = np.polyfit(numbers.ravel(), at.ravel(), 1)
        self.assertGreaterEqual(len(marks), 3)
        np.testing.assert_allclose(slope * numbers + start, at, atol=0.02)

    def test_colours_of_a_map_are_viridis_and_say_the_share(self):
        page = self.page("tiny")
        result = data_of(page)["results"][0]
        shares = np.array(result["trajectory"]["policies"][0]["share"])
        svg = svg_of(page, f"Allocation by {result['learned']}, learned")
        (heat,) = [g for g in svg.iter("g") if g.get("class") == "heat"]
        drawn = np.full((*shares.shape, 3), np.nan)
        for group in heat:
            colour = [int(group.get("stroke")[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)", group.find("path").get("d")):
                cells = drawn[int(y), int(x):int(x) + int(width)]
                self.assertTrue(np.isnan(cells).all(), "a cell is drawn twice")
                cells[:] = colour
        self.assertFalse(np.isnan(drawn).any(), "a cell is not drawn")
        # The end of the colours is the 99th percentile over the policies of the episode; what lies between two of
        # 64 levels may have either, and the polynomial is within 1 % of the table.
        every = np.concatenate([np.ravel(p["share"]) for p in result["trajectory"]["policies"]])
        top = min(1, max(1.2 / len(shares), np.sort(every)[int(0.99 * (len(every) - 1))]))
        level = np.round(np.clip(shares / top, 0, 1) * 63) / 63
        expected = matplotlib.colormaps["viridis"](level)[..., :3]
        np.testing.assert_allclose(drawn, expected, atol=0.025)

    def test_several_results_have_a_joint_table_and_labels_of_their_own(self):
        page = self.page("tiny", "other", "tiny")
        results = data_of(page)["results"]
        self.assertEqual(len({r["label"] for r in results}), 3)
        tree = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
        table = next(tree.iter("table"))
        self.assertEqual([row.find("th").find("i").tail for row in table.find("tbody")], [r["label"] for r in results])
        self.assertTrue("All results: validation cost over that of the best heuristic" in page)

    def test_what_is_not_there_is_said(self):
        for name, words in [("bare", "No episode was recorded slot by slot"), ("bare", "explains no attention"),
                            ("none", "Nothing was trained in this result"), ("other", "There is no bound: "),
                            ("none", "Nothing was learned here"), ("empty", "There was no update in this training")]:
            self.assertTrue(words in self.page(name), f"{name}: {words}")
        self.assertFalse("Allocation by" in self.page("bare"))
        self.assertFalse("Use of the reserve" in self.page("tiny"), "there is none")

    def test_damaged_files_and_taken_places_are_refused_and_nothing_is_written(self):
        whole = (self.path / "full.h5").read_bytes()
        for kind, content in (("cut", whole[:-1000]), ("changed", whole[:3000] + b"?" + whole[3001:]), ("nothing", b""),
                              ("text", b"hello\n" * 100)):
            path = self.path / f"{kind}.h5"
            path.write_bytes(content)
            done = call("report", path, code=3)
            self.assertRegex(done.stderr, rf"^cra: error: .*{kind}\.h5")
            self.assertFalse(path.with_suffix(".html").exists())
        (self.path / "full.html").write_text("mine")
        self.assertIn("exists; --force replaces it", call("report", self.path / "full.h5", code=1).stderr)
        self.assertEqual((self.path / "full.html").read_text(), "mine")
        call("report", self.path / "full.h5", "--force")
        call("report", self.path / "full.h5", "-o", self.path / "full.h5", "--force", code=2)
        self.assertEqual((self.path / "full.h5").read_bytes(), whole)

    def test_run_and_evaluate_write_the_page_at_once(self):
        out = self.path / "now.h5"
        done = call("run", TINY, "--report", "--out", out)
        self.assertIn(f"cra: {out.with_suffix('.html')}\n", done.stderr)
        page = out.with_suffix(".html").read_bytes()
        call("report", out, "--force")
        self.assertEqual(out.with_suffix(".html").read_bytes(), page)
        out.unlink()
        out.with_suffix(".metrics.jsonl").unlink()
        self.assertIn("now.html exists; --force", call("run", TINY, "--report", "--out", out, code=1).stderr)
        call("evaluate", TINY, "--report", "--quiet", "--policy", "demand", "--vary", "workload.level=easy,hard",
             "--out", self.path / "v.h5")
        self.assertEqual(len(list(self.path.glob("v-*.html"))), 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
