#include "tools/command_table.h"

#include <algorithm>
#include <array>

#include "scenarios/scenario.h"
#include "tools/arguments.h"

namespace cra::tools {
namespace {

constexpr auto kCommands = std::to_array<Command>({
    {"run", kRun, "SCENARIO.yaml", 1, 1,
     "train the agent the scenario names, evaluate it beside all heuristics and the bound",
     "The knobs of every heuristic are tuned on training episodes; all policies then meet the "
     "same\n"
     "frozen test episodes. The reference is the tuned heuristic with the lowest mean cost on the\n"
     "test episodes: the strongest one in hindsight, so that learning is not flattered.\n"
     "\n"
     "FILE.h5 appears only when it is complete. Beside it, while the run lasts:\n"
     "FILE.metrics.jsonl (one line per update; stays) and FILE.h5.checkpoint (goes at the end).\n"
     "Ctrl-C, TERM or USR1 finish the update, write the checkpoint and exit with 85; a second\n"
     "Ctrl-C stops at once. --resume continues from the checkpoint, bit for bit; where there is\n"
     "none it starts from the beginning, and where the result is complete it prints it again.\n"
     "\n"
     "--from RESULT.h5 repeats the run of a result: scenario, overrides and seed are those in the\n"
     "file, logs are looked for where they were, from here and from the folders above the file\n"
     "(--set KEY=PATH names another place), and must have the same contents. The new result is\n"
     "compared with the old one, group by group; the exit code is 0 when every number is the same\n"
     "bit for bit, 1 when one is not, which is named. A result of cra evaluate is repeated when "
     "it\n"
     "compares heuristics alone. --json has it under \"repeat\".\n"},
    {"evaluate", kEvaluate, "SCENARIO.yaml...", 1, 100000,
     "evaluate without training: saved policies, or heuristics by name",
     "A word after --policy that names a file is a result file, and stands for the learned policy\n"
     "in it, called by the file's name; any other word is a heuristic, tuned in every scenario\n"
     "before it is compared there.\n"
     "\n"
     "With several scenarios, or values of --vary, the policies meet the test episodes of each, "
     "and\n"
     "the table is a matrix: policies by scenarios. A learned policy runs in pools of another "
     "size,\n"
     "and under any load or trace, as long as its features are there. Every column has a result\n"
     "file of its own; FILE.h5 of --out then stands for FILE-COLUMN.h5.\n"
     "\n"
     "  cra evaluate scenarios/traffic.yaml --policy traffic.h5 gcmu_soft \\\n"
     "      --vary workload.level=easy,normal,hard\n"
     "  cra evaluate scenarios/traffic.yaml --policy traffic.h5 gcmu_soft \\\n"
     "      --set workload.importance=1 --vary pool.nodes=12,24,48 pool.budget=12,24,48\n"},
    {"decide", kDecide, "", 0, 0,
     "a saved policy in a real controller: measurements in, shares out, a line a slot",
     "Reads one JSON object per slot on standard input and answers each with one on\n"
     "standard output, flushed. A line holds what was measured since the one before,\n"
     "a list with a number for each node; --describe prints which quantities this\n"
     "policy needs, with units and ranges. What follows from them is kept here:\n"
     "averages of arrivals, slots since a failure, errors, rates under lag. The pool\n"
     "is that of the result, changed by --set, or that of --scenario.\n"
     "\n"
     "  {\"backlog\": [0.5, 0, 2], \"arrivals\": [1.2, 0.3, 0.9]}\n"
     "  "
     "{\"slot\":4,\"proportions\":[0.3,0.1,0.6],\"grant\":[0.9,0.3,1.8],\"use\":[[0.9,0.3,1.8]]}\n"
     "\n"
     "\"slot\" counts from 0 in every episode. \"grant\" is the work rate to set for each\n"
     "node, within budgets and capacities, and \"use\" what it takes of each resource;\n"
     "\"reserve\" is the share kept back, where the pool has one.\n"
     "\n"
     "The first line of an episode may leave out what tells of the slot before it.\n"
     "{\"reset\": true} begins a new episode; alone it is answered {\"reset\":true},\n"
     "beside measurements it is the first slot. \"episode\", a text or a number, is\n"
     "given back. Where the policy sees an old state (observation.delay), lines tell\n"
     "what is known by then, and are {} as long as that is nothing new: nothing is\n"
     "delayed here.\n"
     "\n"
     "A line that is no such object, lacks or repeats a field, or has one that is\n"
     "unknown, too short, not finite or out of range ends the program with exit code\n"
     "3 and a message that names line and field; with --keep-going it is answered\n"
     "{\"error\": \"...\"} and changes nothing.\n"},
    {"compare", kCompare, "FILE.h5[:NAME]...", 1, 100000,
     "which result is better, by how much, and with what confidence",
     "Compares the learned policies of result files with that of the first. FILE.h5:NAME takes\n"
     "another policy of a file: a heuristic, or one training of several.\n"
     "\n"
     "  cra compare a.h5 b.h5\n"
     "  cra compare a.h5 a.h5:gcmu_soft a.h5:neighbour --against a.h5:uniform\n"
     "\n"
     "Results of one scenario and seed have the same test episodes and are compared episode by\n"
     "episode; the program makes sure of that from the numbers in the files. Results of other\n"
     "seeds are compared by their means, which takes far more episodes. Where scenarios differ in\n"
     "what happens or what it costs, no claim is made, and the keys that differ are named.\n"
     "\n"
     "mean cost             over test episodes, and over trainings where a file has several\n"
     "+- se                 standard error of that mean, over episodes\n"
     "interquartile mean    of all costs but the lowest and the highest quarter\n"
     "gap closed            of the gap between the file's best heuristic and its certified bound\n"
     "difference            less than 0: cheaper than what it is compared with. The interval "
     "comes\n"
     "                      from resampling episodes, and trainings where there are several; with\n"
     "                      several comparisons Holm's correction widens it, so that the chance\n"
     "                      of any wrong claim is at most 5 %\n"
     "episodes won          share of the episodes with a lower cost\n"
     "probability of        that a training of one costs less than a training of the other in an\n"
     "lower cost            episode, ties counting half; where episodes are not the same, that\n"
     "                      an episode of one costs less than an episode of the other\n"
     "smallest difference   true difference that would be found four times in five\n"
     "that would be seen\n"},
    {"report", kReport, "RESULT.h5...", 1, 100,
     "results as one page of HTML: verdict, figures, provenance; needs no network, no program",
     "One result: the answer, learning curves, allocation over time, attention, errors, cost "
     "terms,\n"
     "the distance to the bound, where it all comes from. Several: side by side on the same "
     "scales,\n"
     "with a joint table. The page is written beside the first result (NAME.html for NAME.h5)\n"
     "unless --out names another place; its path is printed. It holds the numbers behind the\n"
     "figures as JSON, and is the same to the byte for the same results.\n"
     "\n"
     "  cra report results/runs/traffic-s1.h5 results/runs/traffic-s2.h5 -o traffic.html\n"},
    {"watch", kWatch, "FILE|FOLDER", 1, 1,
     "follow a run in the terminal: progress, cost, validation cost, speed, time left",
     "FILE is NAME.metrics.jsonl or the result NAME.h5 that is to come; of a FOLDER the run whose\n"
     "lines are newest. Waits for a file that is not there yet, follows a run that is resumed, "
     "and\n"
     "ends when the result is there. A run that was killed leaves none: after a while without a\n"
     "new line that is said, and the wait goes on. On a terminal one picture that changes, four\n"
     "times a second at most; elsewhere a line now and then. --once prints how it stands and "
     "ends.\n"},
    {"check", kCheck, "FILE...", 1, 100000,
     "validate scenarios and result files; every error at once, with file:line:column",
     "Result files are known by their first bytes, whatever their names; all else is read as a\n"
     "scenario. Prints `FILE: ok ...` for the good ones; exits with 3 when any is bad.\n"},
    {"export", kExport, "FILE.h5", 1, 1,
     "a result in the forms of other programs: tables, datasets, the policy",
     "Several forms may be given at once. The result is checked first, as by `cra check`. Files "
     "are\n"
     "only replaced with --force; the same result gives the same bytes.\n"
     "\n"
     "--csv FILE.csv writes one table, a row per policy and test episode. --csv FOLDER writes one\n"
     "for each kind of row: policies, episodes, training, tuning, slots, slots_by_node and "
     "others;\n"
     "everything that is one value is in scalars.csv.\n"
     "\n"
     "--minari FOLDER writes the recorded episodes of every policy as a Minari dataset, called as "
     "the\n"
     "folder: observations, proportions as actions (and the share kept back behind them), minus "
     "the\n"
     "cost as reward, the end of time as truncation. Observations are the features that policies\n"
     "saw where the run was told to store them (output.observations=true), else the state of each\n"
     "node before the slot. For minari.load_dataset(NAME) the folder belongs into\n"
     "$MINARI_DATASETS_PATH.\n"
     "\n"
     "--onnx FILE.onnx writes the learned policy as a graph (operator set 13) from raw features\n"
     "[batch, nodes, features] to proportions [batch, nodes], as cra decide answers; where it "
     "starts\n"
     "from a heuristic, the weights of that are a second input. cra decide --features prints "
     "both,\n"
     "for measurements of your own. --safetensors FILE.safetensors writes its parameters.\n"
     "results/FORMAT.md says what each input is.\n"},
    {"keys", kKeys, "[PREFIX]", 0, 1, "every scenario key: type, unit, range, default, meaning",
     "PREFIX shows the keys below it only, for example `cra keys pool`.\n"},
    {"bench", kBench, "STAGE [FILE...]", 1, 100000,
     "speed of the stages here; STAGE is sim, attention or cuda, train or bound with scenarios",
     "sim: the simulator beside what this machine's memory allows, medians over repeated episodes "
     "on\n"
     "one thread and on all; tools/bench_sim.py sets it against NumPy. attention: its core on one\n"
     "thread, beside the rate of multiply-adds; the whole encoder by number of nodes; and a "
     "training\n"
     "step of it, which tools/bench_train.py sets against PyTorch. train: updates of the learner "
     "apg,\n"
     "on one thread and on all in turn, and the share of each stage; the encoder that the reverse\n"
     "sweep runs again counts as attention. Without files, of scenarios/traffic.yaml and larger "
     "pools\n"
     "like it. bound: slack of the clairvoyant bound, and CPU seconds of one thread per episode, "
     "on\n"
     "the first test episodes of each scenario; without files, of scenarios/ traffic, "
     "burst_reserve,\n"
     "node_failures and training. Slack is (upper - lower) / upper of the means, upper as replayed "
     "in\n"
     "the simulator; worst that of one episode; solver that of the clairvoyant problem itself.\n"
     "cuda: attention's core and the whole encoder on the GPU, data already there, in fp32, tf32 "
     "and\n"
     "bf16; tools/bench_cuda.py sets it against PyTorch.\n"
     "Compare figures of one call only: other programs on the machine slow it down.\n"},
    {"gpu-check", kGpuCheck, "", 0, 0,
     "holds the attention of the GPU against the same in double, for every kind and size",
     "Random batches of every kind of attention, control and head width, with nodes removed and "
     "at\n"
     "sizes that fit no tile, forward and backward. The largest error of every array is printed:\n"
     "of embeddings and attention relative to the largest number of the row, of gradients to the\n"
     "largest of the tensor. Exit code 1 when one is larger than it may be, or when two passes "
     "over\n"
     "the same batch differ in a bit. --emulate runs the same kernels on the host, lane by lane: "
     "it\n"
     "needs no GPU and takes about half a minute.\n"},
    {"doctor", kDoctor, "", 0, 0,
     "what this build and machine have: threads, vector width, GPU, HDF5, Slurm; paste-ready", ""},
});

constexpr auto kOptions = std::to_array<Option>({
    {"policy", 0, "RESULT.h5|NAME ...", true, kEvaluate | kDecide | kCompare,
     "evaluate: what to compare, several words, repeatable; decide: one result file;\n"
     "                                compare: name of the policy to take from files without "
     ":NAME"},
    {"against", 0, "FILE.h5[:NAME]", false, kCompare,
     "what the others are compared with; default the first"},
    {"scenario", 0, "SCENARIO.yaml", false, kDecide,
     "the pool to decide for; default that of the result"},
    {"from", 0, "RESULT.h5", false, kRun,
     "in place of a scenario: repeat the run of this result, and compare"},
    {"describe", 0, nullptr, false, kDecide,
     "print the fields of input and output as JSON, and read nothing"},
    {"features", 0, nullptr, false, kDecide,
     "also answer with what the policy read: \"features\" by node, \"base\" weights"},
    {"keep-going", 0, nullptr, false, kDecide,
     "answer a wrong line with {\"error\": ...} instead of stopping"},
    {"set", 0, "KEY.PATH=VALUE", true, kRun | kEvaluate | kDecide | kBench,
     "override a key of the scenario; repeatable, in order (see cra keys)"},
    {"vary", 0, "KEY.PATH=V1,V2,... ...", true, kEvaluate,
     "a column for every value; keys of one --vary change together, several --vary combine"},
    {"seed", 0, "N", false, kRun | kEvaluate | kBench,
     "root of all random numbers; the same as --set seed=N"},
    {"episodes", 0, "N", false, kBench,
     "of bound: test episodes of each scenario, default 24; of train: episodes of an update"},
    {"threads", 0, "N", false, kRun | kEvaluate | kCompare | kBench,
     "default: OMP_NUM_THREADS, else SLURM_CPUS_PER_TASK, else all; never changes a result"},
    {"rounds", 0, "N", false, kBench, "of cuda: how often every figure is measured, default 5"},
    {"emulate", 0, nullptr, false, kGpuCheck, "run the kernels on the host: no GPU is needed"},
    {"brief", 0, nullptr, false, kGpuCheck,
     "the sizes of --emulate on the GPU: for compute-sanitizer, under which all take hours"},
    {"device", 0, "auto|cpu|cuda", false, kRun | kEvaluate | kBench,
     "where the network runs; auto is the CPU: its results are the same bits on every machine"},
    {"precision", 0, "fp32|tf32|bf16", false, kRun | kEvaluate | kBench,
     "with --device cuda: how products are made there, default fp32; see cra gpu-check"},
    {"out", 0, "FILE.h5", false, kRun | kEvaluate,
     "result file; default results/runs/<scenario>-s<seed>{,-evaluate,-repeat}.h5"},
    {"out", 'o', "FILE.html", false, kReport, "the page; default beside the first result"},
    {"report", 0, nullptr, false, kRun | kEvaluate,
     "also write the page of `cra report` beside the result, FILE.html"},
    {"once", 0, nullptr, false, kWatch, "print how it stands now, and end"},
    {"csv", 0, "FILE.csv|FOLDER", false, kExport, "tidy tables, comma-separated"},
    {"minari", 0, "FOLDER", false, kExport, "recorded episodes as a Minari dataset"},
    {"onnx", 0, "FILE.onnx", false, kExport, "the learned policy as a graph for other runtimes"},
    {"safetensors", 0, "FILE.safetensors", false, kExport, "the parameters of the learned policy"},
    {"resume", 0, nullptr, false, kRun, "continue an interrupted run; nothing there: start"},
    {"force", 0, nullptr, false, kRun | kEvaluate | kReport | kExport, "replace existing files"},
    {"dry-run", 0, nullptr, false, kRun | kEvaluate,
     "print the resolved scenario and the planned work; write nothing"},
    {"json", 0, nullptr, false, kRun | kEvaluate | kCompare | kDoctor | kBench | kGpuCheck,
     "one JSON object on stdout instead of text; errors stay text on stderr"},
    {"quiet", 0, nullptr, false, kRun | kEvaluate | kCheck | kExport,
     "no progress and no notes on stderr"},
    {"verbose", 'v', nullptr, false, kRun | kEvaluate, "more notes on stderr"},
    {"markdown", 0, nullptr, false, kKeys, "as a Markdown table"},
    {"json-schema", 0, nullptr, false, kKeys, "as JSON Schema (draft 7), for editors"},
});

}  // namespace

std::span<const Command> commands() { return kCommands; }
std::span<const Option> options() { return kOptions; }

const Command& command_of(const std::string& name) {
  const auto* found = std::find_if(kCommands.begin(), kCommands.end(),
                                   [&](const Command& c) { return name == c.name; });
  if (found != kCommands.end()) return *found;
  std::vector<std::string> known = command_names();
  known.emplace_back("help");
  const bool option = name[0] == '-';
  if (option) known = {"--help", "--version"};
  const std::string near = scenarios::did_you_mean(name, known);
  std::string text = std::string("unknown ") + (option ? "option \"" : "command \"") + name + "\"";
  if (!near.empty()) text += "; did you mean \"" + near + "\"?";
  text += option ? "\n  options of cra:" : "\n  known commands:";
  for (const std::string& k : known) text += (&k == known.data() ? " " : ", ") + k;
  throw UsageError(text);
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& c : kCommands) names.emplace_back(c.name);
  return names;
}

}  // namespace cra::tools
