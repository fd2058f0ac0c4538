#include "tools/watch_text.h"

#include <algorithm>
#include <cmath>

#include "tools/terminal.h"

namespace cra::tools {
namespace {

constexpr double kSilence = 30;  // seconds without a line that are worth a word
constexpr std::size_t kBars = 40;
constexpr std::size_t kRecent = 20;  // lines that speed and cost are judged by

std::string cost_text(double x) { return std::isfinite(x) ? short_fixed(x, 4) : "not finite"; }

double recent_mean(const std::vector<double>& x) {
  const std::size_t count = std::min(kRecent, x.size());
  double sum = 0;
  for (std::size_t i = x.size() - count; i < x.size(); ++i) sum += x[i];
  return count > 0 ? sum / static_cast<double>(count) : 0;
}

/// Env-steps per second of the last lines, over their time: long updates count more.
double recent_speed(const TrainingLog& t) {
  const std::size_t count = std::min(kRecent, t.speed.size());
  double time = 0;
  for (std::size_t i = t.speed.size() - count; i < t.speed.size(); ++i) time += 1 / t.speed[i];
  return time > 0 ? static_cast<double>(count) / time : 0;
}

/// Seconds until the last training is done at the present speed; 0 when it is not known.
double time_left(std::int64_t number, const TrainingLog& t, const RunFacts& facts) {
  const double speed = recent_speed(t);
  if (facts.updates <= 0 || !(speed > 0) || t.update <= 0) return 0;
  const auto done = static_cast<double>(number) * static_cast<double>(facts.updates) +
                    static_cast<double>(t.update);
  const double all = static_cast<double>(std::max<std::int64_t>(1, facts.seeds)) *
                     static_cast<double>(facts.updates);
  const double steps = static_cast<double>(t.env_steps) / static_cast<double>(t.update);
  return std::max(0.0, all - done) * steps / speed;
}

bool trained(std::int64_t number, const TrainingLog& t, const RunFacts& facts) {
  return facts.updates > 0 && number + 1 >= facts.seeds && t.update >= facts.updates;
}

std::string progress_text(std::int64_t number, const TrainingLog& t, const RunFacts& facts) {
  std::string text;
  if (facts.seeds > 1)
    text = "training " + std::to_string(number + 1) + " of " + std::to_string(facts.seeds) + ", ";
  else if (number > 0)
    text = "training " + std::to_string(number + 1) + ", ";
  text += "update " + std::to_string(t.update);
  if (facts.updates > 0)
    text += " of " + std::to_string(facts.updates) + " (" +
            fixed(100 * static_cast<double>(t.update) / static_cast<double>(facts.updates), 0) +
            " %)";
  return text;
}

/// "1.31 at update 110; lowest 1.30 at update 90"; "" before the first.
std::string validation_text(const TrainingLog& t) {
  if (t.validations.empty()) return "";
  const TrainingLog::Validation& last = t.validations.back();
  const TrainingLog::Validation* best = nullptr;
  for (const TrainingLog::Validation& v : t.validations)
    if (std::isfinite(v.cost) && (best == nullptr || v.cost < best->cost)) best = &v;
  std::string text = cost_text(last.cost) + " at update " + std::to_string(last.update);
  if (best != nullptr && best->update != last.update)
    text += "; lowest " + cost_text(best->cost) + " at update " + std::to_string(best->update);
  return text;
}

std::string line_of(const std::string& name, const std::string& value) {
  if (value.empty()) return "";
  std::string text = "  " + name;
  text.resize(std::max<std::size_t>(text.size() + 1, 19), ' ');
  return text + value + "\n";
}

std::vector<double> validation_costs(const TrainingLog& t) {
  std::vector<double> x;
  for (const TrainingLog::Validation& v : t.validations) x.push_back(v.cost);
  return x;
}

std::string silence_text(const RunFacts& facts) {
  if (facts.complete || facts.age < kSilence) return "";
  return "no new line for " + duration_words(facts.age);
}

/// What comes after training leaves no lines.
std::string after_text(std::int64_t number, const TrainingLog& t, const RunFacts& facts) {
  if (facts.complete) return "";
  return trained(number, t, facts)
             ? "trained; the evaluation leaves no lines, waiting for " + facts.result
             : "";
}

std::string unreadable_text(const MetricsLog& log) {
  if (log.unreadable() == 0) return "";
  return std::to_string(log.unreadable()) + (log.unreadable() == 1 ? " line is" : " lines are") +
         " no row of metrics";
}

/// Trainings that are over, each with its lowest validation cost.
std::string earlier_text(const MetricsLog& log) {
  std::string text;
  for (const auto& [number, t] : log.trainings()) {
    if (number == log.trainings().rbegin()->first) break;
    const std::string validation = validation_text(t);
    text +=
        line_of("training " + std::to_string(number + 1),
                "update " + std::to_string(t.update) + ", cost " + cost_text(recent_mean(t.cost)) +
                    (validation.empty() ? "" : ", validation " + validation));
  }
  return text;
}

}  // namespace

std::string status_text(const MetricsLog& log, const RunFacts& facts) {
  if (log.trainings().empty()) {
    std::string text = facts.metrics + ": ";
    if (facts.complete) return facts.result + ": complete\n";
    text += log.there() ? "no update yet" : "not there yet; waiting for it";
    return text + "\n" + line_of("note", unreadable_text(log)) +
           line_of("note", silence_text(facts));
  }
  const auto& [number, t] = *log.trainings().rbegin();
  const double speed = recent_speed(t), left = time_left(number, t, facts);
  std::string text = facts.metrics + ": " + progress_text(number, t, facts) + "\n";
  text += earlier_text(log);
  text += line_of("cost", cost_text(recent_mean(t.cost)));
  text += line_of("", sparkline(t.cost, kBars));
  text += line_of("validation cost", validation_text(t));
  if (t.validations.size() > 1) text += line_of("", sparkline(validation_costs(t), kBars));
  text += line_of("env-steps", count_words(static_cast<double>(t.env_steps)) +
                                   (speed > 0 ? ", " + count_words(speed) + " a second" : ""));
  if (!facts.complete && left > 0) text += line_of("time left", "about " + duration_words(left));
  text += line_of("note", after_text(number, t, facts)) + line_of("note", silence_text(facts)) +
          line_of("note", unreadable_text(log));
  if (facts.complete) text += line_of("complete", facts.result);
  return text;
}

std::string status_line(const MetricsLog& log, const RunFacts& facts) {
  if (log.trainings().empty()) {
    const std::string text = status_text(log, facts);
    return text.substr(0, text.find('\n'));
  }
  const auto& [number, t] = *log.trainings().rbegin();
  std::string text = progress_text(number, t, facts) + ", cost " + cost_text(recent_mean(t.cost));
  const double speed = recent_speed(t), left = time_left(number, t, facts);
  if (!t.validations.empty()) text += ", validation " + cost_text(t.validations.back().cost);
  if (speed > 0) text += ", " + count_words(speed) + " env-steps/s";
  if (!facts.complete && left > 0) text += ", about " + duration_words(left) + " left";
  for (const std::string& note :
       {after_text(number, t, facts), silence_text(facts), unreadable_text(log)})
    if (!note.empty()) text += "; " + note;
  return facts.complete ? text + "; complete: " + facts.result : text;
}

}  // namespace cra::tools
