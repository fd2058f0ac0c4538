// tools/provenance.h: what this program is and where it runs; for result files and `cra doctor`.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cra::tools {

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string version();           ///< "0.1.0"
std::string commit();            ///< `git describe --always --dirty` at build time, or "unknown"
std::string compiler();          ///< name and version
std::string build_flags();       ///< of this build type
Facts libraries();               ///< name and version of each
std::string host();              ///< name of this machine
std::string processor();         ///< model name, or "unknown"
std::string vector_compiled();   ///< widest instruction set this binary may use everywhere
std::string vector_available();  ///< widest this machine has
Facts slurm();                   ///< SLURM_* variables that identify the job; empty outside
std::string now_utc();           ///< ISO 8601, "2024-05-31T12:00:00Z"

/// One JSON object of facts.
std::string json_of(const Facts& facts);

}  // namespace cra::tools
