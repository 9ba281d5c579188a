// Hosts that make it hard: a kernel or a sandbox that lacks what is used at best, no descriptor left, SIGCHLD ignored,
// a host that adopts orphans. Each is tried in a forked process, which tells what went wrong there.
#include "sandbox.hpp"

#include <doctest/doctest.h>

#include <atomic>

#include <sys/resource.h>

using namespace support;

namespace {

leash::Command dash(const std::string& script) { return leash::args({"/bin/dash", "-c", script, "/bin/dash"}); }

/// What does not hold, in a process that has no doctest.
class Report {
  public:
    void expect(bool holds, const char* what) {
        if (!holds) text_ += std::string(what) + "\n";
    }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

/// Runs a function in a forked process, at most two minutes; gives its report, "" where all holds.
template <class Function>
std::string in_a_fork(Function function) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        ::alarm(120);
        Report report;
        function(report);
        const std::string& text = report.text();
        static_cast<void>(!::write(ends[1], text.data(), text.size()));
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = 0;
    if (child > 1) ::waitpid(child, &status, 0);
    if (status != 0) text += "the process ended with status " + std::to_string(status) + "\n";
    return text;
}

/// The main promises, in whatever surroundings. `statuses`: can every status be had?
void try_everything(Report& report, bool statuses = true) {
    const auto slack = 10s;
    const auto is_right = [&](leash::ExitStatus status, leash::ExitStatus truth) {
        return statuses ? status == truth : status.unknown() || is_told(status, truth);
    };
    const NothingLeft nothing_left;
    const auto marked = [](const Census& census) {
        leash::Options options;
        options.env = census.env();
        options.drain = 20s;  // nobody uses it up: that would be more than the slack
        return options;
    };
    {
        const Census census;
        leash::Options options = marked(census);
        options.out = leash::piped;
        options.err = leash::piped;
        options.in = leash::bytes("input");
        const leash::Result result = leash::run(dash("cat; echo more >&2; exit 3"), options);
        report.expect(result.out == "input" && result.err == "more\n", "run: output");
        report.expect(is_right(result.status, leash::ExitStatus::from_code(3)), "run: status");
        report.expect(!result.timed_out && result.held.empty() && result.survivors.empty(), "run: flags");
        report.expect(nothing_left.holds(), "run: nothing left");
    }
    {
        const Census census;
        leash::Options options = marked(census);
        options.in = leash::bytes("for a file");
        options.out = leash::piped;
        leash::Popen job(dash("cat"), options);
        report.expect(job.communicate().out == "for a file", "bytes for a Popen");
    }
    report.expect(nothing_left.holds(), "bytes for a Popen: nothing left");
    {
        const Census census;
        leash::Options options = marked(census);
        options.out = leash::piped;
        options.grace = 100ms;
        const bool came = in_time(200ms, [&](std::chrono::milliseconds timeout) {
            options.timeout = timeout;
            const Stopwatch watch;
            const leash::Result result =
                leash::run(dash("echo ready; (trap '' TERM; sleep 30; true) & sleep 30 & sleep 30; true"), options);
            report.expect(watch.elapsed() < timeout + slack, "timeout with grandchildren: bound");
            report.expect(census.is_empty(), "timeout with grandchildren: members gone");
            report.expect(result.timed_out, "timeout with grandchildren: timed_out");
            report.expect(result.survivors.empty(), "timeout with grandchildren: survivors");
            report.expect(is_right(result.status, leash::ExitStatus::from_signal(SIGTERM)),
                          "timeout with grandchildren: status");
            return result.out == "ready\n";
        });
        report.expect(came, "timeout with grandchildren: output");
    }
    report.expect(nothing_left.holds(), "timeout with grandchildren: nothing left");
    {
        const Census census;
        leash::Options options = marked(census);
        options.in = leash::piped;
        options.out = leash::piped;
        options.drain = 50ms;
        leash::Popen job(dash("sleep 30 & echo ready; read x; exit 4"), options);
        report.expect(job.out().read_until("ready\n", 20s).complete, "wait_for: ready");
        Stopwatch watch;
        report.expect(!job.wait_for(50ms), "wait_for: still runs");
        report.expect(watch.elapsed() >= 50ms && watch.elapsed() < slack, "wait_for: how long");
        report.expect(!job.poll(), "poll: still runs");
        std::thread closer([&] {
            std::this_thread::sleep_for(20ms);
            job.in().close();
        });
        watch = Stopwatch();
        const auto status = job.wait_for(60s);
        closer.join();
        report.expect(watch.elapsed() < slack, "wait_for: wakes");
        report.expect(status && is_right(*status, leash::ExitStatus::from_code(4)), "wait_for: status");
        report.expect(census.is_empty(), "wait_for: members gone");
        report.expect(job.survivors().empty(), "wait_for: survivors");
    }
    report.expect(nothing_left.holds(), "wait_for: nothing left");
    {
        const Census census;
        leash::Options options = marked(census);
        options.out = leash::piped;
        leash::Popen job(dash("trap '' TERM; sleep 30 & echo ready; sleep 30; true"), options);
        report.expect(job.out().read_until("ready\n", 20s).complete, "stop: ready");
        const Stopwatch watch;
        const leash::ExitStatus status = job.stop(50ms);
        report.expect(watch.elapsed() < slack, "stop: bound");
        report.expect(is_right(status, leash::ExitStatus::from_signal(SIGKILL)), "stop: status");
        report.expect(census.is_empty(), "stop: members gone");
    }
    report.expect(nothing_left.holds(), "stop: nothing left");
    {
        const Census census;
        {
            leash::Options options = marked(census);
            options.out = leash::piped;
            leash::Popen job(dash("trap '' TERM; sleep 30 & echo ready; sleep 30; true"), options);
            report.expect(job.out().read_until("ready\n", 20s).complete, "destructor: ready");
        }
        report.expect(census.is_empty(), "destructor: members gone");
    }
    report.expect(nothing_left.holds(), "destructor: nothing left");
    {
        const Census census;
        leash::Options options = marked(census);
        leash::Cancel cancel;
        options.cancel = cancel;
        std::thread canceller([cancel]() mutable {
            std::this_thread::sleep_for(50ms);
            cancel.fire();
        });
        const Stopwatch watch;
        const leash::Result result = leash::run(dash("sleep 30 & sleep 30; true"), options);
        canceller.join();
        report.expect(watch.elapsed() < slack, "cancel: wakes");
        report.expect(result.cancelled && !result.timed_out, "cancel: flags");
        report.expect(census.is_empty(), "cancel: members gone");
    }
    report.expect(nothing_left.holds(), "cancel: nothing left");
    {
        const auto missing = leash::try_run({"/nowhere/to/be/found"});
        report.expect(!missing && missing.error().step == leash::Step::program, "a missing program");
    }
    report.expect(nothing_left.holds(), "a missing program: nothing left");
}

}  // namespace

TEST_CASE("a host as it should be holds all of this, so that what follows means something") {
    CHECK(in_a_fork([](Report& report) { try_everything(report); }) == "");
}

#if defined(__linux__)
TEST_CASE("where the kernel or a sandbox refuses a system call, its fallback keeps the promises") {
    struct Refusal {
        const char* what;
        std::vector<long> calls;
        int error;
    };
    const Refusal refusals[] = {
        {"no pidfd: an old kernel", {pidfd_open_call}, ENOSYS},
        {"no pidfd: a container", {pidfd_open_call}, EPERM},
        {"no pidfd: no descriptor", {pidfd_open_call}, EMFILE},
        {"no pidfd: flags unknown", {pidfd_open_call}, EINVAL},
        {"no pidfd_send_signal", {pidfd_send_signal_call}, ENOSYS},
        {"pidfd_send_signal is not permitted", {pidfd_send_signal_call}, EPERM},
        {"no close_range: libc has a way of its own", {close_range_call}, ENOSYS},
        {"close_range is not permitted", {close_range_call}, EPERM},
        {"no memfd", {SYS_memfd_create}, ENOSYS},
        {"memfd is not permitted", {SYS_memfd_create}, EPERM},
        {"faccessat2 is not permitted", {faccessat2_call}, EPERM},
        {"no access() at all", {faccessat2_call, SYS_faccessat}, EPERM},
        {"none of them", {pidfd_open_call, pidfd_send_signal_call, close_range_call, SYS_memfd_create}, ENOSYS},
    };
    for (const Refusal& refusal : refusals) {
        CAPTURE(std::string(refusal.what));
        bool permitted = true;
        const std::string report = in_a_fork([&](Report& inner) {
            for (const long call : refusal.calls) permitted = permitted && support::refuse(call, refusal.error);
            if (permitted) try_everything(inner);
            else inner.expect(false, "not permitted");
        });
        if (report == "not permitted\n") MESSAGE("no seccomp filter can be had here: skipped");
        else CHECK(report == "");
    }
}

TEST_CASE("a host that adopts orphans is not held up by the zombies that it has to reap itself") {
    CHECK(in_a_fork([](Report& report) {
              ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
              const Census census;
              leash::Options options;
              options.env = census.env();
              options.out = leash::piped;
              options.drain = 100ms;
              const Stopwatch watch;
              const leash::Result result = leash::run(dash("sleep 30 & sleep 30 & exit 3"), options);
              report.expect(watch.elapsed() < 20s, "bound");
              report.expect(result.status.code() == 3, "status");
              report.expect(result.survivors.empty() && result.held.empty(), "flags");
              report.expect(census.is_empty(), "members gone");

              options.drain = 30s;
              options.timeout = 100ms;
              const leash::Result late = leash::run(dash("sleep 30 & sleep 30; true"), options);
              report.expect(watch.elapsed() < 20s, "timeout: bound");
              report.expect(late.timed_out && late.status.signal() == SIGTERM, "timeout: status");
              report.expect(late.survivors.empty() && late.held.empty(), "timeout: flags");
              report.expect(census.is_empty(), "timeout: members gone");
              // what the group was made of fell to this process when its leader ended, and is nobody else's to reap
              report.expect(eventually([] { return !has_children(); }), "no zombie");
          }) == "");
}
#endif

#if defined(__linux__)
TEST_CASE("what runs as another user cannot be killed: the bound holds, and the result says so") {
    // A set-uid program, which an ordinary user starts and may not signal.
    const Census census;
    char path[] = "/tmp/leash_suid.XXXXXX";
    const int file = ::mkstemp(path);
    const std::string program = read_file(helper());
    const bool made = ::write(file, program.data(), program.size()) == static_cast<ssize_t>(program.size()) &&
                      ::fchmod(file, 04755) == 0;
    ::close(file);
    const std::string report = in_a_fork([&](Report& inner) {
        const auto slack = 10s;
        if (!made || ::getuid() != 0 || ::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
            return inner.expect(false, "skip");
        leash::Options options;
        options.env = census.env();
        options.out = leash::piped;
        {
            const NothingLeft nothing_left;
            {
                leash::Options piped = options;
                piped.in = leash::piped;
                leash::Popen job({path, "become-root", "9"}, piped);
                if (job.out().read_until("\n", 20s).data != "root\n") return inner.expect(false, "skip");
                inner.expect(job.stop(50ms).unknown() && !job.survivors().empty(),
                             "given up: the truth of that moment");
                inner.expect(job.wait().unknown(), "given up: not waited for again");
                job.in().close();
                inner.expect(eventually([&] { return job.wait().code() == 9; }), "given up, then ended: status");
                inner.expect(job.survivors().empty(), "given up, then ended: no survivor");
                inner.expect(!has_children(), "given up, then ended: no zombie");
            }
            inner.expect(nothing_left.holds(), "given up, then ended: nothing left");
        }
        {
            leash::Popen first({path, "become-root"}, options);
            const bool is_root = first.out().read_until("\n", 20s).data == "root\n";
            if (!is_root) return inner.expect(false, "skip");
            const auto sent = first.kill();
            inner.expect(sent.error().code == std::errc::operation_not_permitted, "kill() says EPERM");
            inner.expect(sent.error().step == leash::Step::signal, "and that it is about a signal");
            const Stopwatch watch;
            inner.expect(first.stop(50ms).unknown(), "stop(): status");
            inner.expect(!first.survivors().empty(), "stop(): survivors");
            inner.expect(watch.elapsed() < slack, "stop(): bound");
        }
        {
            leash::Popen job(dash("sleep 300 & exec '" + std::string(path) + "' become-root"), options);
            inner.expect(job.out().read_until("\n", 20s).data == "root\n", "a leader beside a member of ours: ready");
            const Stopwatch both;
            inner.expect(job.stop(50ms).unknown() && !job.survivors().empty(),
                         "a leader beside a member of ours: the truth");
            inner.expect(both.elapsed() < 3s, "a leader beside a member of ours: not waited for in vain");  // for 5 s
        }
        options.grace = 50ms;
        options.drain = 100ms;
        const bool became_root = in_time(200ms, [&](std::chrono::milliseconds timeout) {
            options.timeout = timeout;
            const Stopwatch watch;
            const leash::Result leader = leash::run({path, "become-root"}, options);
            inner.expect(watch.elapsed() < timeout + slack, "a leader: bound");
            if (leader.out != "root\n") return false;
            inner.expect(leader.timed_out && !leader.survivors.empty() && leader.status.unknown(),
                         "a leader: the truth");
            return true;
        });
        inner.expect(became_root, "a leader: ready");

        options.timeout = leash::Timeout::none();
        options.in = leash::piped;
        leash::Popen job(dash("'" + std::string(path) + "' become-root & read x; exit 3"), options);
        inner.expect(job.out().read_until("\n", 20s).data == "root\n", "a member: ready");
        job.in().close();
        const Stopwatch watch;
        inner.expect(job.wait().code() == 3, "a member: status");
        inner.expect(watch.elapsed() < slack, "a member: bound");
        inner.expect(!job.survivors().empty(), "a member: survivors");
    });
    ::unlink(path);
    if (report == "skip\n") MESSAGE("no set-uid program can be had here: skipped");
    else CHECK(report == "");
}
#endif

namespace {

/// Does this kernel reach a whole group through a pidfd (Linux 6.9)?
bool reaches_groups() {
    return in_a_fork([](Report& report) {
               const long handle = ::syscall(434, ::getpid(), 0);
               ::setpgid(0, 0);
               report.expect(::syscall(424, handle, 0, nullptr, 4U) == 0, "no");
           }) == "";
}

}  // namespace

TEST_CASE("a host that reaps whatever ends, or ignores SIGCHLD from some moment on, keeps no straggler") {
    if (!reaches_groups()) {
        MESSAGE("no signal through a pidfd to a group here: skipped");
        return;
    }
    enum class Host { reaps, ignores, drops };
    for (const Host host : {Host::reaps, Host::ignores, Host::drops}) {
        CAPTURE(static_cast<int>(host));
        CHECK(in_a_fork([&](Report& report) {
                  for (int kind = 0; kind < 4; ++kind) {
                      const Census census;
                      struct sigaction action {};
                      action.sa_handler = SIG_DFL;
                      ::sigaction(SIGCHLD, &action, nullptr);
                      leash::Options options;
                      options.env = census.env();
                      options.in = leash::piped;
                      options.drain = 100ms;
                      if (kind == 1) options.timeout = 100s;
                      leash::Popen job(dash("sleep 300 & read x; exit 3"), options);
                      report.expect(census.reaches(2), "ready");  // and nobody has waited for it yet

                      if (host == Host::reaps) {
                          action.sa_handler = [](int) {
                              const int error = errno;
                              while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
                              errno = error;
                          };
                          action.sa_flags = SA_RESTART;
                      } else if (host == Host::ignores) {
                          action.sa_handler = SIG_IGN;
                      } else {
                          action.sa_flags = SA_NOCLDWAIT;
                      }
                      ::sigaction(SIGCHLD, &action, nullptr);
                      const pid_t leader = job.pid();
                      job.in().close();
                      if (kind >= 2) report.expect(eventually([&] { return state_of(leader) == '\0'; }), "taken");
                      const Stopwatch watch;
                      const leash::ExitStatus status =
                          kind == 3 ? job.communicate().status.value_or(leash::ExitStatus::from_code(99)) : job.wait();
                      report.expect(watch.elapsed() < 20s, "bound");
                      report.expect(status.unknown() || status.code() == 3, "status");
                      report.expect(census.reaches(0), "no straggler");
                      report.expect(job.survivors().empty(), "survivors");
                  }
              }) == "");
    }
}

TEST_CASE("a host that ignores SIGCHLD learns what the kernel keeps, and everything else holds") {
    static_cast<void>(kernel_keeps_statuses());  // asked while it does not
    if (!reaches_groups()) {
        MESSAGE("no signal through a pidfd to a group here: skipped");
        return;
    }
    CHECK(in_a_fork([](Report& report) {
              ::signal(SIGCHLD, SIG_IGN);
              try_everything(report, false);
          }) == "");
    CHECK(in_a_fork([](Report& report) {
              struct sigaction action {};
              action.sa_handler = SIG_DFL;
              action.sa_flags = SA_NOCLDWAIT;
              ::sigaction(SIGCHLD, &action, nullptr);
              try_everything(report, false);
          }) == "");
}

TEST_CASE("a host whose thread blocks every signal can end its jobs") {
    CHECK(in_a_fork([](Report& report) {
              sigset_t all;
              ::sigfillset(&all);
              ::sigdelset(&all, SIGALRM);
              ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
              try_everything(report);
          }) == "");
}

TEST_CASE("a host interrupted by signals all the time keeps its bounds and loses nothing") {
    CHECK(in_a_fork([](Report& report) {
              struct sigaction action {};
              action.sa_handler = [](int) {};  // without SA_RESTART
              ::sigaction(SIGVTALRM, &action, nullptr);
              ::sigaction(SIGPROF, &action, nullptr);
              const pthread_t target = ::pthread_self();
              std::atomic<bool> stop{false};
              std::thread pest([&] {
                  while (!stop) {
                      ::pthread_kill(target, SIGVTALRM);
                      std::this_thread::sleep_for(300us);
                  }
              });
              try_everything(report);
              stop = true;
              pest.join();
          }) == "");
}

TEST_CASE(
    "a host without a descriptor left starts what needs none, and still waits for, captures and ends those it has") {
    CHECK(in_a_fork([](Report& report) {
              // what this process inherited above the limit could not be closed in a child where closefrom is missing
              for (const int fd : open_descriptors()) {
                  if (fd >= 70) ::close(fd);
              }
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 80;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              const NothingLeft before_all;
              {
                  const Census census;
                  leash::Options options;
                  options.env = census.env();
                  options.in = leash::piped;
                  options.out = leash::piped;
                  options.err = leash::piped;
                  options.grace = 50ms;
                  leash::Popen waited(dash("sleep 30 & echo ready; read x; exit 3"), options);
                  leash::Popen killed(dash("sleep 30 & echo ready; sleep 30; true"), options);
                  leash::Popen spoken(dash("echo ready; read x; echo got $x; echo more >&2; exit 4"), options);
                  leash::Popen dropped(dash("sleep 30 & echo ready; sleep 30; true"), options);
                  options.timeout = 300ms;
                  leash::Popen late(dash("sleep 30 & echo ready; sleep 30; true"), options);
                  options.timeout = leash::Timeout::none();
                  leash::Cancel cancel;
                  options.cancel = cancel;
                  leash::Popen cancelled(dash("sleep 30 & echo ready; sleep 30; true"), options);
                  options.cancel.reset();
                  for (leash::Popen* const job : {&waited, &killed, &spoken, &dropped, &cancelled})
                      report.expect(job->out().read_until("ready\n", 20s).complete, "ready");

                  std::vector<int> plugs;
                  for (int fd; (fd = ::fcntl(2, F_DUPFD_CLOEXEC, 3)) >= 0;) plugs.push_back(fd);
                  report.expect(errno == EMFILE, "the limit is reached");

                  // Its `in` is the null device, which is opened where there is room: in the child.
                  const auto needs_none = leash::try_run(dash("read x || exit 5"));
                  report.expect(needs_none && needs_none->status.code() == 5, "a job without pipes");
                  for (int kind = 1; kind < 4; ++kind) {
                      leash::Options more;
                      if (kind == 1) more.out = leash::piped;
                      if (kind == 2) more.in = leash::bytes("data");
                      if (kind == 3) more.err = leash::file("/dev/null");
                      const auto refused = leash::Popen::try_spawn(dash("exit 0"), std::move(more));
                      report.expect(!refused, "a spawn fails");
                      if (refused) continue;
                      report.expect(refused.error().code == std::errc::too_many_files_open, "its error's code");
                      report.expect(refused.error().step == leash::Step::redirect, "its error's step");
                      report.expect(!refused.error().subject.empty(), "its error's subject");
                  }

                  Stopwatch watch;
                  report.expect(!waited.wait_for(30ms), "wait_for: still runs");
                  waited.in().close();
                  const auto status = waited.wait_for(60s);
                  report.expect(status && status->code() == 3, "wait_for: status");

                  report.expect(killed.kill().has_value(), "kill");
                  report.expect(killed.wait().signal() == SIGKILL, "kill, wait: status");

                  const leash::Captured captured = spoken.communicate("it\n");
                  report.expect(captured.out == "got it\n" && captured.err == "more\n", "communicate: output");
                  report.expect(captured.status && captured.status->code() == 4, "communicate: status");

                  report.expect(late.wait().signaled() && late.timed_out(), "deadline");

                  cancel.fire();
                  report.expect(cancelled.wait().signal() == SIGTERM && cancelled.cancelled(), "cancel");

                  { const leash::Popen gone(std::move(dropped)); }
                  report.expect(watch.elapsed() < 30s, "bound");
                  for (const int fd : plugs) ::close(fd);
                  // what could not be looked at while no descriptor was left
                  report.expect(census.reaches(0), "members gone");
              }
              report.expect(before_all.holds(), "nothing left");
          }) == "");
}
