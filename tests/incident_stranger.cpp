// No stranger is signalled: numbers that are recycled, statuses that others take.
#include "support.hpp"

#include <doctest/doctest.h>

#include <optional>

#include <poll.h>
#include <sys/syscall.h>
#include <sys/resource.h>

using namespace support;

namespace {

leash::Command dash(const std::string& script) { return leash::args({"/bin/dash", "-c", script, "/bin/dash"}); }

/// The next process gets this number, if it is free. False where the system does not let us choose.
bool choose_next_number(pid_t wanted) {
    const int file = ::open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    const std::string before = std::to_string(wanted - 1);
    const bool told = wanted > 1 && file >= 0 && ::write(file, before.data(), before.size()) > 0;
    if (file >= 0) ::close(file);
    return told;
}

/// A process that leads a group of its own, under a number of our choice. Not a child of ours: its parent has gone.
class Stranger {
  public:
    explicit Stranger(pid_t wanted) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return;
        const pid_t parent = ::fork();
        if (parent == 0) {
            const pid_t made = make(wanted);
            static_cast<void>(!::write(ends[1], &made, sizeof made));
            ::_exit(0);
        }
        ::close(ends[1]);
        if (::read(ends[0], &pid_, sizeof pid_) != static_cast<ssize_t>(sizeof pid_)) pid_ = -1;
        ::close(ends[0]);
        if (parent > 1) ::waitpid(parent, nullptr, 0);
    }
    Stranger(const Stranger&) = delete;
    Stranger& operator=(const Stranger&) = delete;
    ~Stranger() {
        if (pid_ > 1) ::kill(pid_, SIGKILL);
    }

    /// False where the system does not let us choose, or the number is taken.
    bool exists() const { return pid_ > 1; }
    bool is_unharmed() const {
        const char state = state_of(pid_);
        return state == 'S' || state == 'R';
    }

  private:
    static pid_t make(pid_t wanted) {
        for (int attempt = 0; attempt < 100 && wanted > 1; ++attempt) {
            if (!choose_next_number(wanted)) return -1;
            const pid_t child = ::fork();
            if (child == 0) {
                ::setpgid(0, 0);
                ::alarm(60);  // should the test die
                for (;;) ::pause();
            }
            if (child < 0) return -1;
            ::setpgid(child, child);
            if (child == wanted) return child;
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        return -1;
    }
    pid_t pid_ = -1;
};

const char* const not_here = "the system does not let this test choose a process number: skipped";
constexpr leash::ExitStatus zero = leash::ExitStatus::from_code(0);

/// Whatever a handle can do after the job's end.
void do_everything(leash::Popen& job) {
    CHECK(job.kill().error().code == std::errc::no_such_process);
    CHECK(job.terminate().error().code == std::errc::no_such_process);
    for (const int number : {SIGKILL, SIGTERM, SIGSTOP, SIGUSR1, SIGHUP})
        CHECK(job.send_signal(number).error().code == std::errc::no_such_process);
    CHECK(job.send_signal(SIGKILL).error().step == leash::Step::signal);
    job.stop(0ms);
    static_cast<void>(job.poll());
    static_cast<void>(job.wait_for(1ms));
    job.wait();
    static_cast<void>(job.communicate());
}

}  // namespace

TEST_CASE("after the end every signal is a no-op with a clear error, also when the number is a stranger's by then") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options;
    options.env = census.env();
    options.out = leash::piped;
    bool tried = true;
    for (int kind = 0; kind < 5 && tried; ++kind) {
        CAPTURE(kind);
        if (kind == 2) options.stragglers = leash::Stragglers::leave;
        if (kind == 3) options.group = leash::Group::session;
        if (kind == 4) options.group = leash::Group::inherited;
        std::optional<leash::Popen> job(std::in_place, dash("exit 3"), options);
        if (kind == 1) job->exit_handle();
        CHECK(job->wait().code() == 3);
        const Stranger stranger(job->pid());
        tried = stranger.exists();
        if (!tried) break;
        do_everything(*job);
        CHECK(job->wait().code() == 3);
        job.reset();
        CHECK(stranger.is_unharmed());
    }
    if (!tried) MESSAGE(std::string(not_here));
    CHECK(nothing_left.holds());
}

TEST_CASE(
    "of a status that other code took the truth is told or nothing, and whoever has the number then is left alone") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options;
    options.env = census.env();
    options.in = leash::piped;
    options.out = leash::piped;
    bool tried = true;
    for (int kind = 0; kind < 6 && tried; ++kind) {
        CAPTURE(kind);
        options.timeout = kind >= 4 ? leash::Timeout(100ms) : leash::Timeout::none();
        // who asks for its handle when it has ended may be the one who takes its status
        std::optional<leash::Popen> job(std::in_place, dash("read go; exit 0"), options);
        if (kind % 2 == 1) job->exit_handle();
        job->in().close();
        int raw = 0;
        REQUIRE(::waitpid(job->pid(), &raw, 0) == job->pid());  // the thief
        REQUIRE(raw == 0);
        const Stranger stranger(job->pid());
        tried = stranger.exists();
        if (kind == 2 || kind == 3) {
            do_everything(*job);
        } else if (kind >= 4) {
            // the deadline has passed: it would be ended now
            std::this_thread::sleep_for(120ms);
            CHECK(is_told(job->wait(), zero));
            CHECK_FALSE(job->timed_out());
        } else {
            CHECK(is_told(job->wait(), zero));
            CHECK(job->wait().describe() == (kernel_keeps_statuses() ? "exited 0" : "unknown"));
        }
        job.reset();
        if (tried) CHECK(stranger.is_unharmed());
    }
    if (!tried) MESSAGE(std::string(not_here));
    CHECK(nothing_left.holds());
}

TEST_CASE(
    "a handle that first looks when its number is a stranger's finds its own job ended, and the stranger unharmed") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options;
    options.env = census.env();
    options.out = leash::piped;
    bool tried = true;
    for (int kind = 0; kind < 4 && tried; ++kind) {
        CAPTURE(kind);
        std::optional<leash::Popen> job(std::in_place, dash("exit 0"), options);
        int raw = -1;
        REQUIRE(::waitpid(job->pid(), &raw, 0) == job->pid());  // the thief
        REQUIRE(raw == 0);
        const Stranger stranger(job->pid());
        tried = stranger.exists();
        if (!tried) break;
        if (kind < 3) {
            const int handle = job->exit_handle();  // means what was started, or nothing
            pollfd ready{handle, POLLIN, 0};
            if (handle >= 0) CHECK(::poll(&ready, 1, 0) == 1);
        }
        if (kind == 1) CHECK(is_told(job->wait_for(20s).value_or(leash::ExitStatus::from_code(99)), zero));
        else if (kind == 2) do_everything(*job);
        else CHECK(is_told(job->poll().value_or(leash::ExitStatus::from_code(99)), zero));
        job.reset();
        CHECK(stranger.is_unharmed());
    }
    if (!tried) MESSAGE(std::string(not_here));
    CHECK(nothing_left.holds());
}

TEST_CASE("a handle whose number went to another job of the host's neither ends that job nor takes its status") {
    // By its pidfd a child can be waited for since Linux 5.4; before, a number is all there is.
    const int self = static_cast<int>(::syscall(434, ::getpid(), 0));
    siginfo_t info{};
    const bool by_handle = self >= 0 &&
                           ::waitid(static_cast<idtype_t>(3), static_cast<id_t>(self), &info, WEXITED | WNOHANG) != 0 &&
                           errno == ECHILD;
    if (self >= 0) ::close(self);
    if (!by_handle) {
        MESSAGE("no waiting by a pidfd here: skipped");
        return;
    }
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options;
    options.env = census.env();
    leash::Options first = options;
    first.in = leash::piped;
    first.out = leash::piped;
    bool tried = true;
    for (int kind = 0; kind < 6 && tried; ++kind) {
        CAPTURE(kind);
        std::optional<leash::Popen> job(std::in_place, dash("exit 0"), first);
        int raw = -1;
        REQUIRE(::waitpid(job->pid(), &raw, 0) == job->pid());  // the thief
        REQUIRE(raw == 0);
        std::optional<leash::Popen> heir;
        for (int attempt = 0; attempt < 100 && !(heir && heir->pid() == job->pid()); ++attempt) {
            heir.reset();
            if (!choose_next_number(job->pid())) break;
            heir.emplace(dash("sleep 300; true"), options);
        }
        tried = heir && heir->pid() == job->pid();
        if (!tried) break;
        switch (kind) {
            case 0: break;  // its end alone
            case 1: CHECK(is_told(job->poll().value_or(leash::ExitStatus::from_code(99)), zero)); break;
            case 2: CHECK(is_told(job->wait(), zero)); break;
            case 3:
                CHECK(is_told(job->communicate("x").status.value_or(leash::ExitStatus::from_code(99)), zero));
                break;
            case 4: CHECK(is_told(job->stop(0ms), zero)); break;
            default: do_everything(*job); break;
        }
        job.reset();
        CHECK_FALSE(heir->poll());
        CHECK(is_alive(heir->pid()));
        CHECK(heir->stop(20s).signal() == SIGTERM);
    }
    if (!tried) MESSAGE(std::string(not_here));
    CHECK(nothing_left.holds());
}

TEST_CASE("a status that is taken while somebody waits wakes the waiter, who knows nothing") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options;
    options.env = census.env();
    options.in = leash::piped;
    for (int round = 0; round < 20; ++round) {
        leash::Popen job(dash("read x; exit 5"), options);
        leash::ExitStatus status;
        std::thread waiter([&] {
            if (round % 2 == 0) status = job.wait();
            else status = job.wait_for(60s).value_or(leash::ExitStatus::from_code(99));
        });
        int raw = 0;
        std::thread thief([&] { static_cast<void>(::waitpid(job.pid(), &raw, 0)); });
        job.in().close();
        const Stopwatch watch;
        waiter.join();
        thief.join();
        CHECK(watch.elapsed() < 20s);
        // either of them can have been first
        CHECK((status.unknown() || status.code() == 5));
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("a status that is taken while stragglers run: no signal goes astray, and a pidfd still finds them") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options;
    options.env = census.env();
    options.out = leash::piped;
    leash::Options beside = options;
    beside.env = leash::Env::inherited();
    options.in = leash::piped;
    {
        leash::Popen bystander(dash("echo ready; sleep 30; true"), beside);
        REQUIRE(bystander.out().read_until("ready\n", 20s));

        leash::Popen job(dash("sleep 30 & read x; exit 0"), options);
        const int handle = job.exit_handle();  // while it runs: this would reap it
        job.in().close();
        REQUIRE(::waitpid(job.pid(), nullptr, 0) == job.pid());
        // 0 only asks: does this kernel reach a whole group through a handle (Linux 6.9)?
        const bool reaches = handle >= 0 && ::syscall(424, handle, 0, nullptr, 4U) == 0;
        const auto terminated = job.terminate();
        if (reaches) CHECK(terminated);
        else CHECK(terminated.error().code == std::errc::no_such_process);
        CHECK(is_told(job.wait(), zero));
        if (reaches) CHECK(census.reaches(0));
        CHECK_FALSE(bystander.poll());
        CHECK(bystander.stop(20s).signal() == SIGTERM);
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("while the leader is an unreaped zombie its number is pinned, and its members can be signalled") {
    const NothingLeft nothing_left;
    const Census census;
    leash::Options options;
    options.env = census.env();
    options.out = leash::piped;
    {
        // not read from: every call that waits would see the end, and end the job
        leash::Popen job(dash("trap '' TERM; sleep 30 & exit 6"), options);
        REQUIRE(eventually([&] { return state_of(job.pid()) == 'Z'; }));
        CHECK(census.reaches(1));
        CHECK(job.terminate());
        CHECK(census.reaches(1));  // in the middle of its exec it cannot be found
        CHECK(job.kill());
        CHECK(census.reaches(0));
        CHECK(job.wait().code() == 6);
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("a handle that had no pidfd at its start gets none later that is a stranger's") {
    if (support::closes_by_list) {
        MESSAGE("no start here below a lowered limit: skipped");
        return;
    }
    const NothingLeft nothing_left;
    const Census census;
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    leash::Options options;
    options.env = census.env();
    options.in = leash::fd(null);
    options.out = leash::fd(null);
    options.err = leash::fd(null);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    bool tried = true;
    for (int kind = 0; kind < 3 && tried; ++kind) {
        CAPTURE(kind);
        rlimit none_left = before;
        none_left.rlim_cur = static_cast<rlim_t>(null) + 1;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none_left) == 0);
        auto started = leash::Popen::try_spawn(dash("exit 0"), options);
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        REQUIRE(started);
        std::optional<leash::Popen> job(*std::move(started));
        int raw = -1;
        REQUIRE(::waitpid(job->pid(), &raw, 0) == job->pid());  // the thief
        REQUIRE(raw == 0);
        const Stranger stranger(job->pid());
        tried = stranger.exists();
        if (!tried) break;
        if (kind > 0) CHECK(job->exit_handle() == -1);
        if (kind > 1) do_everything(*job);
        job.reset();
        CHECK(stranger.is_unharmed());
    }
    ::close(null);
    if (!tried) MESSAGE(std::string(not_here));
    CHECK(nothing_left.holds());
}
