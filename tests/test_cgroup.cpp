// tests/test_cgroup.cpp - Reach::cgroup: what a job has started is in a control group of its own, and ends with it.
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include <sys/mount.h>
#include <sys/resource.h>

using namespace support;

#if defined(__linux__)

namespace {

leash::Options in_cgroup(const Census& census) {
    leash::Options options = capture(census);
    options.reach = leash::Reach::cgroup;
    options.grace = 50ms;
    options.drain = 50ms;
    return options;
}

/// Why a job cannot have one here; nothing where it can.
std::optional<leash::Error> refusal() {
    leash::Options options;
    options.reach = leash::Reach::cgroup;
    const auto result = leash::try_run({"true"}, options);
    if (result) return std::nullopt;
    return result.error();
}

/// Where that of a process is: under /sys/fs/cgroup, or /sys/fs/cgroup/unified.
std::string folder_of(pid_t pid) {
    const std::string groups = '\n' + read_file("/proc/" + std::to_string(pid) + "/cgroup");
    const std::size_t at = groups.find("\n0::") + 4;
    const std::string path = groups.substr(at, groups.find('\n', at) - at);
    for (const char* const top : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
        if (::access((top + path + "/cgroup.procs").c_str(), F_OK) == 0) return top + path;
    }
    return "";
}
bool is_there(const std::string& folder) { return ::access(folder.c_str(), F_OK) == 0; }

/// A daemon with no trace at all: no environment, no descriptor, no parent, a session of its own.
leash::Command daemon(const std::string& file, const char* last) {
    return child({"escape", file, "session", "fork", "close", "ignore", "clear", last});
}

#define NEEDS_CGROUP                                                             \
    if (const auto why = refusal()) {                                            \
        MESSAGE("no control group is to be had here: ", why->message().c_str()); \
        return;                                                                  \
    }

}  // namespace

TEST_CASE("where there is no control group to be had, the error names what refused it, and nothing is started") {
    const NothingLeft nothing_left;
    if (const auto why = refusal()) {
        CHECK(why->step == leash::Step::options);
        CHECK(why->subject.compare(0, 5, "reach") == 0);
        CHECK(why->message().find("cgroup") != std::string::npos);
    } else if (::geteuid() == 0) {
        const std::string wrong = in_host([]() -> std::string {
            HOST_NEEDS(::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0);
            const auto unprivileged = refusal();
            HOST_NEEDS(unprivileged);
            HOST_NEEDS(unprivileged->code == std::errc::permission_denied);
            HOST_NEEDS(unprivileged->step == leash::Step::options);
            HOST_NEEDS(unprivileged->subject.find("/leash.") != std::string::npos);
            HOST_NEEDS(unprivileged->message().find("Delegate") != std::string::npos);
            HOST_NEEDS(!has_children());
            return "";
        });
        const bool is_mapped = wrong.find("setresuid") == std::string::npos;  // not in every user namespace
        if (is_mapped) CHECK(wrong == "");
    }
    CHECK(nothing_left.holds());
}

TEST_CASE("a job is in a group of its own from its program's start, all its stages are, and it goes with the job") {
    NEEDS_CGROUP
    const Census census;
    const std::string own = folder_of(::getpid());
    std::string folder;
    {
        leash::Popen job(child({"sleep"}) | child({"print-and-wait", "ready\n"}), in_cgroup(census));
        CHECK(job.reach() == leash::Reach::cgroup);
        CHECK(job.out().read_until("ready\n", 20s));
        folder = folder_of(job.pid());
        CHECK(folder.compare(0, own.size(), own) == 0);
        CHECK(folder != own);
        CHECK(census.alive().size() == 2);
        for (const pid_t pid : census.alive()) CHECK(folder_of(pid) == folder);
    }
    CHECK_FALSE(is_there(folder));
    CHECK(census.is_empty());

    const leash::Result r = leash::run(leash::shell("cat /proc/self/cgroup"), in_cgroup(census));
    CHECK(r.reach == leash::Reach::cgroup);
    CHECK(r.out.find("/leash.") != std::string::npos);
    CHECK(support::told(r) == "exited 0");
}

TEST_CASE("whoever has covered all its traces is ended with the job, and named") {
    NEEDS_CGROUP
    const TemporaryDirectory directory;
    const Census census;
    const std::string file = directory / "pid";
    const auto daemon_of = [&] { return static_cast<pid_t>(std::atoi(read_file(file).c_str())); };
    SUBCASE("when the leader ends by itself") {
        const leash::Result r = leash::run(daemon(file, "go"), in_cgroup(census));
        CHECK(r.status.success());
        REQUIRE(r.stragglers.size() == 1);
        CHECK(r.stragglers[0].pid == daemon_of());
        CHECK(r.stragglers[0].command.find("live") != std::string::npos);
        CHECK(r.survivors.empty());
    }
    SUBCASE("at a forced end") {
        leash::Popen job(daemon(file, "stay"), in_cgroup(census));
        CHECK(job.out().read_until("ready\n", 20s));
        job.stop(50ms);
        CHECK(job.survivors().empty());
    }
    SUBCASE("with the handle") {
        leash::Popen job(daemon(file, "stay"), in_cgroup(census));
        CHECK(job.out().read_until("ready\n", 20s));
    }
    SUBCASE("in a Supervisor") {
        leash::Supervisor jobs;
        auto job = leash::Popen(daemon(file, "stay"), in_cgroup(census));
        CHECK(job.out().read_until("ready\n", 20s));
        CHECK(jobs.add(std::move(job)));
    }
    REQUIRE(daemon_of() > 1);
    CHECK_FALSE(is_alive(daemon_of()));
}

TEST_CASE("everybody in it gets the TERM and the grace, whoever its parent is") {
    NEEDS_CGROUP
    const TemporaryDirectory directory;
    const Census census;
    const std::string file = directory / "file";
    leash::Options options = in_cgroup(census);
    options.grace = 20s;
    leash::Popen job(
        leash::shell("(setsid sh -c 'trap \"echo saved > $1; exit\" TERM; echo ready; while :; do sleep 0.05; done' "
                     "sh \"$1\" &); sleep 60",
                     {file}),
        options);
    CHECK(job.out().read_until("ready\n", 20s));
    const Stopwatch watch;
    job.stop(20s);
    CHECK(watch.elapsed() < 15s);
    CHECK(read_file(file) == "saved\n");
    CHECK(census.is_empty());
}

TEST_CASE("processes that start others all the time do not outrun the end") {
    NEEDS_CGROUP
    const Census census;
    leash::Options options = in_cgroup(census);
    options.drain = 1s;
    // each one goes on in a session of its own, and ends, as fast as it can
    leash::Popen job(leash::shell("for i in 1 2 3 4; do (setsid sh -c \"$1\" sh \"$1\" &); done; echo ready; sleep 60",
                                  {"trap '' TERM; setsid sh -c \"$1\" sh \"$1\" & exit"}),
                     options);
    CHECK(job.out().read_until("ready\n", 20s));
    const std::string folder = folder_of(job.pid());
    job.stop(50ms);
    CHECK_FALSE(is_there(folder));
    CHECK(job.survivors().empty());
    CHECK(census.is_empty());
}

TEST_CASE("what may stay stays, in the group, and a later host removes that once it is empty") {
    NEEDS_CGROUP
    const TemporaryDirectory directory;
    const Census census;
    const std::string file = directory / "pid", note = directory / "folder";
    const std::string wrong = in_host([&]() -> std::string {
        leash::Options options = in_cgroup(census);
        options.stragglers = leash::Stragglers::leave;
        const leash::Result r =
            leash::run(leash::shell("(setsid \"$1\" live \"$2\" >/dev/null 2>&1 &); while ! [ -s \"$2\" ]; do :; done",
                                    {helper(), file}),
                       options);
        HOST_NEEDS(r.ok());
        HOST_NEEDS(r.stragglers.empty());
        const std::string folder = folder_of(std::atoi(read_file(file).c_str()));
        HOST_NEEDS(folder.find("/leash.") != std::string::npos);
        std::FILE* const to = std::fopen(note.c_str(), "w");
        std::fputs(folder.c_str(), to);
        std::fclose(to);
        return "";
    });
    CHECK(wrong == "");
    const std::string folder = read_file(note);
    const pid_t left = std::atoi(read_file(file).c_str());
    REQUIRE(left > 1);
    const std::string below = folder + "/below";  // as it may have made one for itself
    REQUIRE(::mkdir(below.c_str(), 0755) == 0);
    CHECK_FALSE(refusal());  // the host is gone, but somebody is in there
    CHECK(is_alive(left));
    CHECK(is_there(below));
    ::kill(left, SIGKILL);
    CHECK(eventually([&] { return !is_alive(left); }));
    CHECK(eventually([&] { return !refusal() && !is_there(folder); }));
}

TEST_CASE("of a host that lives on, too, what was left goes once it is empty") {
    NEEDS_CGROUP
    const Census census;
    leash::Popen job(child({"sleep"}), in_cgroup(census));
    const std::string folder = folder_of(job.pid());
    const pid_t pid = job.detach();
    CHECK_FALSE(refusal());
    CHECK(is_there(folder));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    CHECK(eventually([&] { return !refusal() && !is_there(folder); }));
}

TEST_CASE("the group of a job that has ended, and that nobody has waited for, is no other job's to remove") {
    NEEDS_CGROUP
    const Census census;
    leash::Popen job(child({"spin", "100", "0"}), in_cgroup(census));
    const std::string folder = folder_of(job.pid());
    CHECK(eventually([&] { return state_of(job.pid()) == 'Z'; }));
    CHECK_FALSE(refusal());
    CHECK(is_there(folder));
    job.wait();
    CHECK(job.usage().user + job.usage().system >= 50ms);
    CHECK_FALSE(is_there(folder));
}

TEST_CASE("who starts another and ends, again and again, passes by no look") {
    NEEDS_CGROUP
    const Census census;
    leash::Options options = in_cgroup(census);
    options.drain = 300ms;
    for (int round = 0; round < 3; ++round) {
        const Stopwatch watch;
        const leash::Result r = leash::run(leash::args({helper(), "chain"}), options);
        CHECK(r.status.success());
        CHECK(watch.elapsed() >= 300ms);
        CHECK(r.survivors.empty());
        CHECK(census.is_empty());
    }
}

TEST_CASE("a host that is out of descriptors, or another user by then, ends all of it nevertheless") {
    NEEDS_CGROUP
    const TemporaryDirectory directory;
    ::chmod(directory.path().c_str(), 0777);
    for (const bool other_user : {false, true}) {
        if (other_user && ::geteuid() != 0) continue;
        const std::string file = directory / (other_user ? "user" : "descriptors");
        const Census census;
        const std::string wrong = in_host([&]() -> std::string {
            leash::Popen job(daemon(file, "stay"), in_cgroup(census));
            HOST_NEEDS(job.out().read_until("ready\n", 20s));
            if (other_user) {
                if (::setresuid(65534, 65534, 65534) != 0) return "";  // a user namespace without it
            } else {
                rlimit limit{};
                ::getrlimit(RLIMIT_NOFILE, &limit);
                limit.rlim_cur = 3;
                ::setrlimit(RLIMIT_NOFILE, &limit);
            }
            job.stop(50ms);
            HOST_NEEDS(job.survivors().empty());
            return "";
        });
        CHECK(wrong == "");
        // On its way out it is of no group any more, and no zombie yet.
        CHECK(eventually([&] { return !is_alive(std::atoi(read_file(file).c_str())); }));
        CHECK(census.is_empty());
    }
    CHECK_FALSE(refusal());
}

TEST_CASE("groups that a job has made in its own go with it, and those in them are ended") {
    NEEDS_CGROUP
    const Census census;
    leash::Popen job(
        leash::shell("cd \"$1$(sed -n 's/^0:://p' /proc/self/cgroup)\" && mkdir -p a/b && "
                     "(setsid sleep 60 & echo $! > a/b/cgroup.procs) && echo ready; exec sleep 60",
                     {folder_of(::getpid()).find("/unified") != std::string::npos ? "/sys/fs/cgroup/unified"
                                                                                  : "/sys/fs/cgroup"}),
        in_cgroup(census));
    CHECK(job.out().read_until("ready\n", 20s));
    const std::string folder = folder_of(job.pid());
    CHECK(is_there(folder + "/a/b"));
    job.stop(0ms);
    CHECK_FALSE(is_there(folder));
    CHECK(census.is_empty());
}

TEST_CASE("the usage is that of all who were in it") {
    NEEDS_CGROUP
    const Census census;
    leash::Options options = in_cgroup(census);
    options.drain = 60s;
    // a grandchild that nobody waits for, and that is still at it when the leader has ended
    const leash::Result r = leash::run(leash::shell("(\"$1\" spin 200 0 &)", {helper()}), options);
    CHECK(r.stragglers.empty());
    CHECK(r.usage.user + r.usage.system >= 150ms);
}

TEST_CASE("where memory ran out the result says so, and only where that ended the job") {
    NEEDS_CGROUP
    struct Given {
        int kills, signal;  // sent by somebody else; 0: the leader ends by itself
        leash::EndedBy by;
        const char* text;  // at the end of what is told
    };
    for (const Given& given :
         {Given{2, SIGKILL, leash::EndedBy::memory, ", out of memory"}, Given{0, SIGKILL, leash::EndedBy::itself, " s"},
          Given{1, SIGTERM, leash::EndedBy::itself, ", memory ran out for some of it"},
          Given{1, 0, leash::EndedBy::kill, ", killed on request, memory ran out for some of it"}}) {
        const std::string wrong = in_host([&]() -> std::string {
            // What the kernel would say is put in the place of what it does say, for this process alone.
            if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
                return "skipped";
            leash::Result r;
            {
                const Census census;
                leash::Popen job(child({"sleep"}), in_cgroup(census));
                const std::string folder = folder_of(job.pid());
                if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0) return "skipped";
                std::FILE* const events = std::fopen((folder + "/memory.events").c_str(), "w");
                std::fprintf(events, "low 0\nhigh 0\nmax 7\noom 3\noom_kill %d\noom_group_kill 0\n", given.kills);
                std::fclose(events);
                if (given.signal != 0) ::kill(job.pid(), given.signal);
                else job.kill();
                r.status = job.wait();
                r.ended_by = job.ended_by();
                r.usage = job.usage();
                ::umount(folder.c_str());
            }
            HOST_NEEDS(r.usage.oom_kills == static_cast<std::uint64_t>(given.kills));
            HOST_NEEDS(r.ended_by == given.by);
            HOST_NEEDS(!r.ok());
            const std::string text = r.describe(), end = given.text;
            if (text.size() < end.size() || text.substr(text.size() - end.size()) != end) return text;
            return "";
        });
        if (wrong == "skipped") {
            MESSAGE("nothing can be mounted here");
            return;
        }
        CHECK(wrong == "");
    }
    CHECK_FALSE(refusal());  // which removes what was in use as a place to mount at
}

TEST_CASE("a job that takes more memory than its control group has is told to have run out of it") {
    NEEDS_CGROUP
    const Census census;
    leash::Options options = in_cgroup(census);
    options.in = leash::piped;
    // an endless line; if there is no such limit after all, then another one ends it
    leash::Popen job(leash::shell("ulimit -v 1000000; read line; exec tail /dev/zero"), options);
    const std::string limit = folder_of(job.pid()) + "/memory.max", swap = folder_of(job.pid()) + "/memory.swap.max";
    const auto write = [](const std::string& path, const char* text) {
        const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        const bool done = fd >= 0 && ::write(fd, text, std::strlen(text)) > 0;
        ::close(fd);
        return done;
    };
    if (!write(limit, "20000000")) {
        MESSAGE("the memory controller is not passed down here");
        return;
    }
    write(swap, "0");
    job.in().write("go\n");
    const leash::ExitStatus status = job.wait();
    CHECK(status.signal() == SIGKILL);
    CHECK(job.ended_by() == leash::EndedBy::memory);
    CHECK(job.usage().oom_kills >= 1);
}

TEST_CASE("with a guardian all of it ends with a host that is killed") {
    NEEDS_CGROUP
    const TemporaryDirectory directory;
    const std::string file = directory / "pid";
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const pid_t host = ::fork();
    if (host == 0) {
        const Census census;
        leash::Options options = in_cgroup(census);
        options.die_with_parent = true;
        leash::Popen job(daemon(file, "stay"), options);
        if (!job.out().read_until("ready\n", 20s)) ::_exit(1);
        static_cast<void>(!::write(ends[1], "x", 1));
        for (;;) ::pause();
    }
    ::close(ends[1]);
    char c = '\0';
    CHECK(::read(ends[0], &c, 1) == 1);
    ::close(ends[0]);
    const pid_t left = std::atoi(read_file(file).c_str());
    const std::string folder = folder_of(left);
    ::kill(host, SIGKILL);
    ::waitpid(host, nullptr, 0);
    REQUIRE(left > 1);
    CHECK(eventually([&] { return !is_alive(left); }));
    CHECK(eventually([&] { return !refusal() && !is_there(folder); }));
}

TEST_CASE("a start that fails leaves no group behind") {
    NEEDS_CGROUP
    const std::string own = folder_of(::getpid());
    const auto count = [&] {
        int found = 0;
        DIR* const directory = ::opendir(own.c_str());
        const std::string mine = "." + std::to_string(::getpid()) + ".";
        while (const dirent* const entry = ::readdir(directory)) {
            const std::string name = entry->d_name;
            found += name.compare(0, 6, "leash.") == 0 && name.find(mine) != std::string::npos ? 1 : 0;
        }
        ::closedir(directory);
        return found;
    };
    leash::Options options;
    options.reach = leash::Reach::cgroup;
    options.limits.open_files = 1ULL << 40;
    const int before = count();
    CHECK_FALSE(leash::try_run({"true"}, options));
    CHECK(count() == before);
}

#endif
