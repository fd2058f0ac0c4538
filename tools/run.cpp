// cra run: train, evaluate beside the heuristics, write the result, print the table.
#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "tools/assemble.h"
#include "tools/commands.h"
#include "tools/contest.h"
#include "tools/metrics.h"
#include "tools/outputs.h"
#include "tools/plan.h"
#include "tools/provenance.h"
#include "tools/recall.h"
#include "tools/report_command.h"
#include "tools/signals.h"
#include "tools/store.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

/// What learns, and how: a network on top of the base, or the base's knobs alone.
std::string learned_name(const scenarios::Settings& s, const std::string& base) {
  const auto name = [](const auto& k) { return std::string(k.name); };
  const agents::LearnerKind& learner = s.agents.agent.learner;
  const bool attends = !std::holds_alternative<attention::None>(s.attention.kind);
  const std::string what = std::holds_alternative<agents::Evolution>(learner) ? base
                           : attends                                          ? "attention"
                                                                              : "mean of nodes";
  return what + " + " + std::visit(name, learner);
}

/// Of one training out of `seeds`.
std::string seed_name(const std::string& name, std::int64_t training, int seeds) {
  return seeds == 1 ? name : name + " #" + std::to_string(training + 1);
}

std::string listed(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

/// A checkpoint or a result of another run must not be mistaken for this one.
void require_same_run(const std::string& path, const std::string& digest_there,
                      const std::string& resolved_there, const std::string& digest,
                      const scenarios::Scenario& s) {
  if (digest_there == digest) return;
  std::vector<std::string> what = differences(resolved_there, s.resolved, 8);
  if (what.empty()) what = {"a log or a curve differs: it is not the same file"};
  throw InputError(path + " is of another run; --force starts again" + listed(what));
}

/// With --report, the page of the result.
void tell_page(const Arguments& a, const results::RunFile& run, const Outputs& out) {
  if (out.page.empty()) return;
  write_page(run, out.result, out.page);
  if (!a.quiet) tell("cra: " + out.page + "\n");
}

/// The last words of a run, and of a repeated one whether it ended alike.
int finish(const Arguments& a, const std::optional<Original>& original, const Summary& summary,
           const Headline& headline, const results::RunFile& run, const Outputs& out) {
  const std::string text = a.json ? json_text(summary, headline) : table_text(summary, headline);
  tell_page(a, run, out);
  if (original) return tell_likeness(a, *original, text, headline.result);
  print(text);
  return 0;
}

/// --resume on a finished run: the same end, without the work.
int show_finished(const Arguments& a, const std::optional<Original>& original,
                  const scenarios::Scenario& s, const Outputs& out, const std::string& digest) {
  const std::string& path = out.result;
  const results::RunFile run = results::read_run(path);
  if (run.group("train") == nullptr)
    throw InputError(path + " is of an evaluation, nothing was trained; --force replaces it");
  const auto& there =
      results::values<std::string>(group_of(run, "provenance", path), "resolved_yaml").at(0);
  require_same_run(path, attribute(run, kRunDigest), there, digest, s);
  if (!a.quiet) tell("cra: " + path + " is complete; nothing to do\n");
  const Summary summary = summary_of(run, s.settings);
  return finish(a, original, summary, headline_of(run, s.settings, path), run, out);
}

/// What a training's bits depend on beside the scenario.
std::string program_of(const Arguments& a) {
  std::string text = version();
  text.append(" ").append(commit());
  if (a.device == Device::cuda) text.append(" on a GPU in ").append(precision_name(a));
  return text;
}

/// The checkpoint to go on from; none for a fresh run.
std::optional<Checkpoint> find_checkpoint(const Arguments& a, const scenarios::Scenario& s,
                                          const std::string& path, const std::string& digest) {
  if (!a.resume) return std::nullopt;
  std::string note;
  const std::vector<results::Field> fields = results::read_checkpoint(path, note);
  if (!note.empty()) warn(note);
  if (fields.empty()) {
    return std::nullopt;
  }
  Checkpoint c = unpack(fields);
  require_same_run(path, c.digest, c.resolved, digest, s);
  const std::string program = program_of(a);
  if (c.program != program) {
    warn(path + " was written by cra " + c.program + ", this is " + program +
         ": the result may differ from an uninterrupted run");
  }
  ++c.attempts;
  return c;
}

/// The trainings of one run with what surrounds them on disk and on the screen.
class Session {
 public:
  Session(const Arguments& a, const scenarios::Scenario& s, const Outputs& out,
          std::optional<Checkpoint> from, agents::Rule base, const agents::EngineFactory& engine,
          Progress& progress)
      : arguments_(a),
        settings_(s.settings),
        training_(s.settings.agents.training),
        base_(std::move(base)),
        engine_(engine),
        progress_(progress),
        file_(out.checkpoint),
        metrics_path_(out.metrics) {
    if (from) {
      record_ = std::move(*from);
    } else {
      record_.digest = run_digest(s);
      record_.resolved = s.resolved;
    }
    record_.program = program_of(arguments_);
    seconds_before_ = record_.seconds;
    if (record_.trainings.size() > static_cast<std::size_t>(training_.seeds))
      throw InputError("checkpoint: holds " + std::to_string(record_.trainings.size()) +
                       " trainings, expected at most " + std::to_string(training_.seeds));
  }

  /// Updates until all trainings are finished, or until a signal asks to stop; a checkpoint is
  /// then on disk.
  void train() {
    std::optional<MetricsFile> metrics;
    for (std::size_t k = record_.trainings.empty() ? 0 : record_.trainings.size() - 1;
         k < static_cast<std::size_t>(training_.seeds) && stop_requested() == nullptr; ++k) {
      agents::Trainer trainer = trainer_of(k);
      if (k < record_.trainings.size()) {
        trainer.resume(record_.trainings[k]);
      } else {
        trainer.start();
        record_.trainings.push_back(trainer.state());
      }
      // Not before a checkpoint was found to be of this run.
      if (!metrics) metrics.emplace(metrics_path_, record_.trainings);
      train_one(trainer, static_cast<std::int64_t>(k), *metrics);
    }
    progress_.clear();
  }

  /// Says where the run stands and how to go on. \returns the exit code
  int stopped(const char* signal) {
    progress_.clear();
    const std::int64_t updates = record_.trainings.empty() ? 0 : record_.trainings.back().updates;
    std::string at =
        std::to_string(updates) + " of " + std::to_string(training_.updates) + " updates";
    if (training_.seeds > 1) {
      at += " of training " + std::to_string(std::max<std::size_t>(1, record_.trainings.size())) +
            " of " + std::to_string(training_.seeds);
    }
    const std::string kept =
        file_.current() ? "checkpoint written" : "the last checkpoint could not be written";
    tell(std::string("cra: stopped by ") + signal + " after " + at + "; " + kept +
         "; go on with\n  " + resume_command(arguments_) + "\n");
    return kExitRequeue;
  }

  /// What the trainings returned, in order.
  std::vector<agents::Network> networks() const {
    std::vector<agents::Network> all;
    for (std::size_t k = 0; k < record_.trainings.size(); ++k) {
      agents::Trainer trainer = trainer_of(k);
      trainer.resume(record_.trainings[k]);
      all.push_back(trainer.network());
    }
    return all;
  }

  const std::vector<agents::TrainState>& trainings() const { return record_.trainings; }
  double seconds() const { return record_.seconds; }
  std::int64_t attempts() const { return record_.attempts; }

 private:
  agents::Trainer trainer_of(std::size_t k) const {
    return {settings_.agents,
            settings_.attention,
            settings_.sim,
            static_cast<std::uint64_t>(settings_.seed),
            base_,
            engine_,
            static_cast<int>(k)};
  }

  void train_one(agents::Trainer& trainer, std::int64_t k, MetricsFile& metrics) {
    std::string stage = "training";
    if (training_.seeds > 1)
      stage.append(" ")
          .append(std::to_string(k + 1))
          .append(" of ")
          .append(std::to_string(training_.seeds));
    progress_.stage(stage, training_.updates, trainer.state().updates);
    while (!trainer.finished() && stop_requested() == nullptr) {
      const agents::UpdateStats u = update(trainer);
      metrics.add(k, u, rate_);
      progress_.step(u.update,
                     "cost " + short_fixed(u.cost, 4) + ", " + count_words(rate_) + " env-steps/s");
      if (u.update % training_.checkpoint_every == 0) save(trainer);
    }
    save(trainer);
  }

  agents::UpdateStats update(agents::Trainer& trainer) {
    const std::int64_t steps_before = trainer.state().env_steps;
    const Clock::time_point then = Clock::now();
    try {
      const agents::UpdateStats u = trainer.update();
      const double seconds = seconds_since(then);
      rate_ = seconds > 0 ? static_cast<double>(u.env_steps - steps_before) / seconds : 0;
      record_.seconds = seconds_before_ + seconds_since(begin_);
      return u;
    } catch (const DivergedError&) {
      save(trainer);  // the state of before the update, to look at
      throw;
    }
  }

  void save(const agents::Trainer& trainer) {
    const std::pair now(record_.trainings.size(), trainer.state().updates);
    if (saved_ == now) return;
    progress_.clear();
    record_.trainings.back() = trainer.state();
    file_.save(record_);
    if (file_.current()) saved_ = now;
  }

  const Arguments& arguments_;
  const scenarios::Settings& settings_;
  const agents::Training& training_;
  agents::Rule base_;
  const agents::EngineFactory& engine_;
  Progress& progress_;
  CheckpointFile file_;
  std::string metrics_path_;
  Checkpoint record_;
  std::pair<std::size_t, std::int64_t> saved_{0, -1};  ///< trainings and updates in the file
  double rate_ = 0;
  double seconds_before_ = 0;
  Clock::time_point begin_ = Clock::now();
};

/// Baselines to tune: those that are compared, and the base of the policy.
std::vector<std::string> to_tune(const scenarios::Settings& s) {
  std::vector<std::string> names = baselines_of(s);
  const std::string& base = s.agents.agent.base;
  if (base != "best" && std::find(names.begin(), names.end(), base) == names.end()) {
    names.push_back(base);
  }
  return names;
}

const agents::Tuning& base_of(const agents::Agent& agent, const std::vector<agents::Tuning>& all) {
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const agents::Tuning& t) { return t.rule.name == agent.base; });
  return found != all.end()
             ? *found
             : best_of(all, std::holds_alternative<agents::Evolution>(agent.learner));
}

void tell_tunings(const std::vector<agents::Tuning>& all) {
  for (const agents::Tuning& t : all) {
    std::string knobs;
    for (std::size_t k = 0; k < t.knobs.size(); ++k)
      knobs += " " + t.knobs[k].name + "=" + shortest(t.rule.knobs[k]);
    tell("cra: tuned " + t.rule.name + (knobs.empty() ? "" : ":") + knobs + " (cost " +
         short_fixed(t.best_cost, 4) + " on the tuning episodes, best of " +
         std::to_string(t.tried.size()) + ")\n");
  }
}

/// A reference that a wider grid would lower flatters whoever is compared with it. On a handful of
/// episodes chance puts choices anywhere: then nothing is said.
void warn_of_edges(const std::vector<agents::Tuning>& all, std::int64_t tuning_episodes) {
  if (tuning_episodes < 16) return;
  const agents::Tuning* best = nullptr;
  for (const agents::Tuning& t : all)
    if (agents::baseline_kind(t.rule.name) == agents::Kind::heuristic &&
        (best == nullptr || t.best_cost < best->best_cost))
      best = &t;
  if (best == nullptr) return;
  for (const std::string& knob : best->on_edge())
    tell("cra: the best heuristic, " + best->rule.name + ", has its " + knob +
         " on the edge of the grid: a wider one might lower its cost\n");
}

void write_result(const results::RunFile& run, const Outputs& out, const scenarios::Output& how) {
  try {
    results::write_run(out.result, run, how.compression, scenarios::segment_bytes(how));
  } catch (const Error& e) {
    throw Error(std::string(e.what()) + "; the training is safe in " + out.checkpoint +
                ", --resume tries again");
  }
  results::remove_checkpoint(out.checkpoint);
}

}  // namespace

int run(const Arguments& a) {
  check_out(a);
  std::optional<Original> original;
  if (!a.from.empty()) original = original_of(a);
  if (original && !original->trained) return evaluate_again(a, *original);
  const scenarios::Scenario scenario =
      original ? original->scenario : scenarios::load(a.files.at(0), a.set);
  const scenarios::Settings& s = scenario.settings;
  const Outputs out =
      name_outputs(a, s.name + "-s" + std::to_string(s.seed) + (original ? "-repeat" : ""));
  if (original) spare_original(*original, out.result);
  if (a.dry_run) {
    print(scenario.resolved);
    const auto trainings = static_cast<std::size_t>(s.agents.training.seeds);
    tell(plan_text(s, true, trainings + baselines_of(s).size(), out.result));
    return 0;
  }
  catch_stop_signals();
  prepare_folder(a, out);
  const results::Lock lock(out.result);
  refuse_existing(a, out);

  Circumstances about{a.words, run_digest(scenario), now_utc()};
  about.threads = set_threads(a);
  const agents::EngineFactory engine = choose_engine(a, s);
  about.device = device_text(a);  // now that it is known to be there
  if (a.force) results::remove_checkpoint(out.checkpoint);
  std::optional<Checkpoint> from = find_checkpoint(a, scenario, out.checkpoint, about.digest);
  if (!from && a.resume) {
    if (exists(out.result)) return show_finished(a, original, scenario, out, about.digest);
    if (!a.quiet) tell("cra: nothing to resume: starting from the beginning\n");
  }

  Progress progress(a.quiet);
  try {
    const std::vector<agents::Tuning> tunings = tune_all(to_tune(s), s, progress);
    progress.clear();
    if (a.verbose) tell_tunings(tunings);
    if (!a.quiet) warn_of_edges(tunings, s.agents.evaluation.tuning_episodes);

    Session session(a, scenario, out, std::move(from), base_of(s.agents.agent, tunings).rule,
                    engine, progress);
    session.train();
    if (const char* signal = stop_requested()) return session.stopped(signal);
    about.attempts = session.attempts();
    about.train_seconds = session.seconds();

    std::vector<Candidate> all;
    const std::string name = learned_name(s, base_of(s.agents.agent, tunings).rule.name);
    for (agents::Network& network : session.networks()) {
      const auto k = static_cast<std::int64_t>(all.size());
      all.push_back(
          learned(seed_name(name, k, s.agents.training.seeds), std::move(network), s.sim, engine));
      all.back().title = name;
      all.back().training = k;
    }
    const std::vector<std::string> compared = baselines_of(s);
    for (const agents::Tuning& t : tunings) {
      if (std::find(compared.begin(), compared.end(), t.rule.name) != compared.end()) {
        all.push_back(baseline(t, s.sim));
      }
    }
    const sim::Exogenous x = evaluation_episodes(s);
    meet(all, s, x, progress);
    const agents::Bound bound = bound_episodes(a, s, progress);
    check_against(bound, all);
    const std::optional<Explained> explained = explain_attention(
        &all[best_training(s.agents.training, session.trainings())], s, x, engine, progress);
    progress.clear();
    const Summary summary = compare(all, s, bound);
    const results::RunFile file =
        assemble(scenario, about, all, tunings, x, session.trainings(), bound, summary, explained);
    write_result(file, out, s.output);
    return finish(a, original, summary, headline_of(file, s, out.result), file, out);
  } catch (const Stopped& stop) {
    progress.clear();
    tell(std::string("cra: stopped by ") + stop.signal +
         "; nothing is lost that was trained before; go on with\n  " + resume_command(a) + "\n");
    return kExitRequeue;
  }
}

}  // namespace cra::tools
