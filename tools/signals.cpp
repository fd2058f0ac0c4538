#include "tools/signals.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX, not <csignal>
#include <unistd.h>

#include <initializer_list>

namespace cra::tools {
namespace {

volatile sig_atomic_t stop_signal = 0;

extern "C" void on_stop(int signal) {
  if (signal == SIGINT && stop_signal != 0) _exit(130);
  stop_signal = signal;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop;
  action.sa_flags = SA_RESTART;  // a write in progress goes on
  sigemptyset(&action.sa_mask);
  for (const int s : {SIGINT, SIGTERM, SIGUSR1}) sigaction(s, &action, nullptr);
}

void ignore_broken_pipes() { signal(SIGPIPE, SIG_IGN); }

const char* stop_requested() {
  switch (stop_signal) {
    case 0:
      return nullptr;
    case SIGINT:
      return "INT";
    case SIGTERM:
      return "TERM";
    default:
      return "USR1";
  }
}

void check_stop() {
  if (const char* signal = stop_requested()) throw Stopped{signal};
}

}  // namespace cra::tools
