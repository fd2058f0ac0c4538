#include "tools/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "results/results.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLargest = std::size_t{4} << 30;

/// Number of the training and of the update.
using Place = std::pair<std::int64_t, std::int64_t>;

Json row_of(std::int64_t training, const agents::UpdateStats& u) {
  return {{"training", training},
          {"update", u.update},
          {"env_steps", u.env_steps},
          {"cost", u.cost},
          {"score", u.score},
          {"gradient_norm", u.gradient_norm},
          {"learning_rate", u.learning_rate},
          {"entropy", u.entropy},
          {"sigma", u.sigma}};
}

agents::UpdateStats logged(const agents::TrainState& s, std::int64_t update) {
  const auto i = static_cast<std::size_t>(update - 1);
  return {update,
          s.log_env_steps.at(i),
          s.log_cost.at(i),
          s.log_score.at(i),
          s.log_gradient_norm.at(i),
          s.log_learning_rate.at(i),
          s.log_entropy.at(i),
          s.log_sigma.at(i),
          {}};
}

/// The whole rows of a file; of two for one update the later.
std::map<Place, std::string> rows_of(const std::string& path) {
  std::map<Place, std::string> rows;
  const auto whole = [](const Json& row, const char* key) {
    return row.contains(key) && row[key].is_number_integer();
  };
  if (access(path.c_str(), F_OK) != 0) return rows;
  const results::Bytes bytes = results::read_file(path, kLargest);
  std::istringstream in(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  for (std::string line; std::getline(in, line) && !in.eof();) {
    const Json row = Json::parse(line, nullptr, false);
    if (row.is_object() && whole(row, "training") && whole(row, "update"))
      rows[{row["training"].get<std::int64_t>(), row["update"].get<std::int64_t>()}] = line;
  }
  return rows;
}

}  // namespace

MetricsFile::MetricsFile(std::string path, const std::vector<agents::TrainState>& trainings)
    : path_(std::move(path)) {
  try {
    std::map<Place, std::string> old;
    if (!trainings.empty() && trainings.front().updates > 0) old = rows_of(path_);
    std::string text;
    for (std::size_t k = 0; k < trainings.size(); ++k) {
      const auto training = static_cast<std::int64_t>(k);
      for (std::int64_t u = 1; u <= trainings[k].updates; ++u) {
        const auto found = old.find({training, u});
        text += (found != old.end() ? found->second
                                    : row_of(training, logged(trainings[k], u)).dump()) +
                "\n";
      }
    }
    results::write_file(path_, std::as_bytes(std::span(text)));
  } catch (const Error& e) {
    fail(e.what());
    return;
  }
  descriptor_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor_ < 0) fail(path_ + ": " + std::strerror(errno));
}

MetricsFile::~MetricsFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void MetricsFile::add(std::int64_t training, const agents::UpdateStats& u,
                      double steps_per_second) {
  if (descriptor_ < 0) return;
  Json row = row_of(training, u);
  if (u.validation_cost) row["validation_cost"] = *u.validation_cost;
  row["steps_per_second"] = steps_per_second;
  const std::string line = row.dump() + "\n";
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = write(descriptor_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      fail(path_ + ": " + std::strerror(errno));
      return;
    }
    done += static_cast<std::size_t>(n);
  }
}

void MetricsFile::fail(const std::string& why) {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
  warn(why + "; the run goes on without its metrics file");
}

}  // namespace cra::tools
