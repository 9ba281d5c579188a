// tests/torture/jobs.hpp - how it is started, talked to and ended: every way through the interface, at random; and what
// must be so afterwards.
#pragma once

#include "children.hpp"
#include "dice.hpp"

#include "../support.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

namespace torture {

using namespace std::chrono_literals;
using leash::EndedBy;
using leash::Stragglers;
using leash::Timeout;
using std::chrono::milliseconds;

/// What came of all jobs. One for each thread.
struct Tally {
    std::map<std::string, long> jobs, children;
    long by_themselves = 0, timed_out = 0, cancelled = 0, by_force = 0, not_started = 0;
    long held = 0, survivors = 0, escaped = 0;
    milliseconds latest{0};  // return after the bound

    void add(const Tally& other) {
        for (const auto& [name, count] : other.jobs) jobs[name] += count;
        for (const auto& [name, count] : other.children) children[name] += count;
        by_themselves += other.by_themselves;
        timed_out += other.timed_out;
        cancelled += other.cancelled;
        by_force += other.by_force;
        not_started += other.not_started;
        held += other.held;
        survivors += other.survivors;
        escaped += other.escaped;
        latest = std::max(latest, other.latest);
    }
};

/// What must be so of a job: otherwise this is thrown, and the torture ends.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
#define TORTURE_NEEDS(...)                                                                              \
    do {                                                                                                \
        if (!(__VA_ARGS__))                                                                             \
            throw torture::Failure("jobs.hpp:" + std::to_string(__LINE__) + ": not so: " #__VA_ARGS__); \
    } while (false)

/// A census of a thread's own: their numbers are counted without a lock.
inline support::Census make_census() {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    return support::Census();
}

/// What max_output keeps of it.
inline std::string kept(const std::string& all, const leash::Options& options) {
    const std::size_t most = options.max_output;
    if (all.size() <= most) return all;
    switch (options.keep) {
        case leash::Keep::head: return all.substr(0, most);
        case leash::Keep::tail: return all.substr(all.size() - most);
        case leash::Keep::ends: break;
    }
    return all.substr(0, most - most / 2) + all.substr(all.size() - most / 2);
}

/// One job: what it was made of, and the checks that are common to all ways.
class Job {
  public:
    Job(Dice& dice, Tally& tally) : dice_(dice), tally_(tally) {
        dress(options_);
        options_.err = leash::null;
    }

    // ---- the ways

    void run() {
        child_ = pick();
        const bool sunk = dice_.chance(25);
        std::string sink;
        options_.out = leash::piped;
        const bool is_slow = dice_.chance(20), is_nested = dice_.chance(20);
        if (sunk) {
            options_.out = leash::sink([&, this](std::string_view chunk) {
                if (is_slow) std::this_thread::sleep_for(2ms);
                if (is_nested && sink.empty()) TORTURE_NEEDS(leash::run({"true"}, support::silent(census_)).ok());
                sink += chunk;
                is_ready_ = is_ready_ || (sink == "ready\n" && !may_be_ending());
            });
        }
        if (dice_.chance(80)) options_.err = leash::piped;
        give_input();
        const Ender ender = make_ender();
        const support::Stopwatch watch;
        auto result = leash::try_run(child_.command, options_);
        check_time(watch, options_.timeout);
        if (!started(result)) return;
        if (sunk) options_.max_output = SIZE_MAX, result->out = std::move(sink);
        check(*result);
        TORTURE_NEEDS(result->ended_by != EndedBy::idle_timeout || !options_.idle_timeout.is_none());
        tally_.survivors += !result->survivors.empty() ? 1 : 0;
    }

    void pipeline() {
        std::vector<Child> stages;
        std::vector<leash::Command> commands;
        for (int i = dice_.between(2, 4); i > 0; --i) {
            Child stage = pick();
            while (stages.empty() && stage.name == "change-group") stage = pick();  // its group is the others' too
            stages.push_back(stage);
            commands.push_back(stages.back().command);
        }
        options_.group = leash::Group::own;  // a session cannot be joined
        options_.out = leash::piped;
        if (dice_.chance(50)) options_.err = leash::per_stage;
        options_.timeout = dice_.milliseconds(1, 100);
        leash::Pipeline pipeline = commands[0] | commands[1];
        for (std::size_t i = 2; i < commands.size(); ++i) pipeline.append(commands[i]);
        const support::Stopwatch watch;
        auto result = leash::try_run(std::move(pipeline), options_);
        check_time(watch, options_.timeout);
        if (!result) {
            const int stage = result.error().stage;
            if (stage >= 0) child_ = stages[static_cast<std::size_t>(stage)];
            started(result);
            return;
        }
        TORTURE_NEEDS(result->statuses.size() == stages.size());
        for (std::size_t i = 0; i < stages.size(); ++i) {
            child_ = stages[i];
            check_status(result->statuses[i], true);
        }
        count(result->timed_out, result->cancelled, !result->held.empty());
        tally_.survivors += !result->survivors.empty() ? 1 : 0;
    }

    /// communicate() in pieces, until it has ended or there is no patience left.
    void communicate() {
        child_ = pick();
        options_.in = leash::piped;
        options_.out = leash::piped;
        if (dice_.chance(30)) options_.err = leash::piped;
        const Ender ender = make_ender(false);
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        std::string out;
        bool first = true;  // then `in` is closed
        for (int patience = comes_to_end(child_, options_) ? 1000 : dice_.between(0, 5); patience > 0; --patience) {
            std::string piece;
            if (first) input_ = piece = support::pattern(static_cast<std::size_t>(dice_.one_of({0, 10, 100'000})));
            first = false;
            const milliseconds time = dice_.milliseconds(0, 30);
            const support::Stopwatch watch;
            leash::Captured captured = job->communicate(std::move(piece), time);
            check_time(watch, time);
            if (options_.keep == leash::Keep::head) TORTURE_NEEDS(captured.out.compare(0, out.size(), out) == 0);
            out = captured.out;
            if (captured.status) {
                check(*captured.status, captured, *job);
                return;
            }
            is_ready_ = is_ready_ || (out.rfind("ready\n", 0) == 0 && !may_be_ending());
        }
        end(*std::move(job));
    }

    /// Reads and writes in pieces, by every call that there is.
    void streams() {
        child_ = pick();
        options_.in = leash::piped;
        options_.out = leash::piped;
        const Ender ender = make_ender(false);
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        for (int patience = dice_.between(1, 30); patience > 0 && job->out().is_open(); --patience) talk(*job);
        end(*std::move(job));
    }

    /// Waits for it, by every call that there is; nobody reads.
    void wait() {
        child_ = pick();
        options_.out = leash::null;
        leash::Popen* own = nullptr;
        bool was_told = false;  // what a sink may not know of its own job
        if (dice_.chance(50)) {
            options_.out = leash::sink([&](std::string_view) {
                if (own != nullptr) was_told |= own->wait_for(1h).has_value() || !own->wait().unknown();
            });
        }
        options_.in = leash::null;
        const Ender ender = make_ender();
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        own = &*job;
        std::optional<leash::ExitStatus> status;
        while (!status) {
            switch (dice_.between(0, 4)) {
                case 0: status = job->poll(); break;
                case 1: status = job->wait_for(dice_.milliseconds(0, 20)); break;
                case 2: status = job->wait_until(std::chrono::steady_clock::now() + dice_.milliseconds(0, 20)); break;
                case 3: status = job->wait(); break;
                default: {
                    pollfd exit{job->exit_handle(), POLLIN, 0};
                    TORTURE_NEEDS(exit.fd >= 0);
                    if (::poll(&exit, 1, 20) == 1) TORTURE_NEEDS((exit.revents & POLLNVAL) == 0);
                    break;
                }
            }
        }
        TORTURE_NEEDS(!was_told);
        TORTURE_NEEDS(job->stopped() == 0);
        TORTURE_NEEDS(job->wait() == *status);
        TORTURE_NEEDS(job->kill().error().code == std::errc::no_such_process);
        leash::Streams nothing;
        child_.out.reset();
        check(*status, nothing, *job);
    }

    /// Other threads wait for it and signal it meanwhile.
    void many_threads() {
        child_ = pick();
        options_.out = leash::null;
        if (dice_.chance(50)) options_.out = leash::sink([](std::string_view) { std::this_thread::sleep_for(20ms); });
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        leash::ExitStatus seen[3];
        struct Waiting {  // also where a check throws
            leash::Popen& job;
            std::vector<std::thread> threads{};
            void join() {
                static_cast<void>(job.kill().has_value());
                for (std::thread& thread : std::exchange(threads, {})) thread.join();
            }
            ~Waiting() { join(); }
        } waiting{*job};
        for (leash::ExitStatus& status : seen) waiting.threads.emplace_back([&] { status = job->wait(); });
        std::this_thread::sleep_for(dice_.milliseconds(0, 20));
        {
            const milliseconds time = dice_.milliseconds(0, 5);
            const support::Stopwatch watch;
            static_cast<void>(job->wait_for(time));
            check_time(watch, time);
        }
        if (dice_.chance(50)) static_cast<void>(job->terminate().has_value());
        std::this_thread::sleep_for(dice_.milliseconds(0, 5));
        const milliseconds grace = dice_.milliseconds(0, 20);
        const support::Stopwatch watch;
        const leash::ExitStatus status = job->stop(grace);
        check_time(watch, grace);
        waiting.join();
        for (const leash::ExitStatus& one : seen) TORTURE_NEEDS(one == status);
        check_status(status, true);
        ++tally_.by_force;
    }

    /// Handles that are moved about, and die with what they have.
    void handles() {
        child_ = pick();
        options_.out = leash::piped;
        auto first = leash::Popen::try_spawn(child_.command, options_);
        if (!started(first)) return;
        auto second = leash::Popen::try_spawn(child_.command, options_);
        TORTURE_NEEDS(second.has_value());
        may_escape_ *= 2;
        std::vector<leash::Popen> all;
        all.push_back(*std::move(first));
        if (dice_.chance(50)) all.front() = *std::move(second);
        else all.push_back(*std::move(second));
        if (dice_.chance(50)) all.erase(all.begin());
        if (dice_.chance(50)) std::this_thread::sleep_for(dice_.milliseconds(0, 10));
        ++tally_.by_force;
    }

    /// Only what is inherited and what is passed on: 0, 1, 2 and the numbers that were said.
    void descriptors() {
        child_ = ending("fds", support::child({"fds"}), {});
        std::string expected = "0 1 2";
        for (int i = dice_.between(0, 3), number = 3; i > 0; --i) {
            number += dice_.between(0, 5);
            expected += " " + std::to_string(number);
            options_.pass_fds.push_back({dice_.between(0, 2), number++});
        }
        options_.out = leash::piped;
        if (dice_.chance(50)) child_.command = leash::shell("cat; \"$1\" fds", {support::helper()});
        auto result = leash::try_run(child_.command, options_);
        TORTURE_NEEDS(result.has_value());
        count(result->timed_out, result->cancelled, !result->held.empty());
        TORTURE_NEEDS(result->ok() || result->timed_out);
        if (!result->ok() || result->out_truncated) return;
        std::string numbers;
        for (std::size_t from = 0; from < result->out.size(); from = result->out.find('\n', from) + 1)
            numbers += (numbers.empty() ? "" : " ") + std::to_string(std::atoi(result->out.c_str() + from));
        TORTURE_NEEDS(numbers == expected);
    }

    /// Several at once, on this thread.
    void run_all() {
        std::vector<leash::Task> jobs;
        std::vector<Child> children;
        for (int i = dice_.between(1, 12); i > 0; --i) {
            children.push_back(pick());
            leash::Options one;
            dress(one);
            one.out = leash::piped;
            one.err = leash::null;
            suit(children.back(), one);
            if (!comes_to_end(children.back(), one) || dice_.chance(20)) one.timeout = dice_.milliseconds(1, 50);
            jobs.push_back({children.back().command, one});
        }
        leash::RunAllOptions how;
        how.max_running = static_cast<std::size_t>(dice_.between(1, 6));
        how.stop_on_failure = dice_.chance(10);
        std::size_t begun = 0, ended = 0;
        how.on_start = [&](std::size_t, const leash::Popen&) { ++begun; };
        how.on_end = [&](std::size_t, const leash::Expected<leash::Result>&) { ++ended; };
        const auto results = leash::run_all(jobs, how);
        TORTURE_NEEDS(results.size() == jobs.size());
        TORTURE_NEEDS(begun <= ended);
        for (std::size_t i = 0; i < results.size(); ++i) {
            child_ = children[i];
            is_ready_ = false;
            options_ = jobs[i].options;
            if (!started(results[i])) continue;
            if (results[i]->cancelled) {
                TORTURE_NEEDS(how.stop_on_failure);
                ++tally_.cancelled;
            } else {
                check(*results[i]);
            }
        }
    }

    /// The same in the open form, with jobs that are taken out early.
    void supervise() {
        leash::Supervisor jobs;
        std::vector<Child> children;
        std::vector<leash::Options> all;
        for (int i = dice_.between(1, 10); i > 0; --i) {
            Child one = pick();
            leash::Options its;
            dress(its);
            its.out = dice_.chance(80) ? leash::piped : leash::null;
            its.err = leash::null;
            suit(one, its);
            if (!comes_to_end(one, its) || dice_.chance(20)) its.timeout = dice_.milliseconds(1, 50);
            auto job = leash::Popen::try_spawn(one.command, its);
            TORTURE_NEEDS(job.has_value() != one.is_missing);
            if (!job) continue;
            if (its.out.is(leash::null)) one.out.reset();
            TORTURE_NEEDS(jobs.add(*std::move(job), children.size()).has_value());
            children.push_back(one);
            all.push_back(its);
        }
        const bool leaves = dice_.chance(10), cancels = dice_.chance(20);
        while (const auto event = jobs.next()) {
            if (leaves && dice_.chance(10)) break;
            if (cancels && dice_.chance(10)) jobs.cancel();
            if (event->kind == leash::Supervisor::Event::output && dice_.chance(5)) {
                const leash::Popen dropped = jobs.remove(event->id);
                ++tally_.by_force;
            }
            if (event->kind != leash::Supervisor::Event::ended) continue;
            child_ = children[event->tag];
            is_ready_ = false;
            options_ = all[event->tag];
            leash::Popen job = jobs.remove(event->id);
            const leash::Captured captured = job.communicate();
            TORTURE_NEEDS(captured.status.has_value());
            check(*captured.status, captured, job);
        }
        TORTURE_NEEDS(leaves || jobs.empty());
    }

    void terminal() {
        child_ = dice_.chance(50) ? ending("isatty", support::child({"isatty", "0"})) : pick();
        child_.out.reset();
        options_.in = leash::tty;
        options_.out = leash::tty;
        options_.err = leash::tty;
        options_.group = leash::Group::own;
        options_.max_output = SIZE_MAX;
        auto result = leash::Popen::try_spawn(child_.command, options_);
        if (!started(result)) return;
        if (comes_to_end(child_, options_) && !child_.is_shell) {
            const leash::Captured captured = result->communicate({}, 20s);
            TORTURE_NEEDS(child_.name != "isatty" || result->timed_out() || captured.out == "terminal\r\n");
        } else if (dice_.chance(50)) {
            static_cast<void>(result->out().read(100, dice_.milliseconds(0, 20)).complete);
        }
        end(*std::move(result));
    }

    /// An interactive shell with jobs of its own: what closes its terminal takes them along.
    void shell_at_terminal() {
        child_ = endless("bash -i", {"bash", "--norc", "--noprofile", "-i"}, {});
        child_.is_shell = true;
        child_.on_term = 0;  // where it reads the end of its terminal before it has SIGHUP
        if (::access("/bin/bash", X_OK) != 0) return;
        options_.in = leash::tty;
        options_.out = leash::tty;
        options_.err = leash::tty;
        options_.timeout = {};
        options_.group = leash::Group::own;
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        job->in().write("sleep 60 & sleep 60 | cat & (trap '' HUP TERM; sleep 60; :) & echo st''arted\n", 20s);
        if (!job->out().read_until("started\r\n", 20s)) may_escape_ += any_number;
        end(*std::move(job));
        // At the end of its input it goes by itself, sooner or later, and its jobs are out of reach.
        if (way_ == way_communicate) may_escape_ += any_number;
    }

    /// A daemon that is left alone, and so is there afterwards.
    void daemon() {
        const bool is_apart = dice_.chance(50), holds = dice_.chance(30);
        child_ = ending("daemon", support::child({is_apart ? "setsid-holder" : "fork-holder", "5", holds ? "1" : "9"}),
                        {}, 5);
        options_.stragglers = leash::Stragglers::leave;
        options_.timeout = {};
        options_.out = leash::piped;
        options_.max_output = SIZE_MAX;
        const auto result = leash::try_run(child_.command, options_);
        if (!started(result)) return;
        check(*result);
        const pid_t pid = std::atoi(result->out.c_str());
        TORTURE_NEEDS(result->status == child_.status && result->survivors.empty());
        TORTURE_NEEDS(!holds || !result->held.empty());
        TORTURE_NEEDS(census_.alive() == std::vector<pid_t>{pid});
        TORTURE_NEEDS(pid > 1 && ::kill(pid, SIGKILL) == 0);
        may_escape_ = 0;
    }

    /// One that somebody else stops.
    void stopped() {
        child_ = endless("sleep", support::child({"sleep", "ready\n"}), "ready\n");
        options_.out = leash::piped;
        options_.timeout = {};
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        TORTURE_NEEDS(job->out().read_until("ready\n", 20s).complete);
        for (int rounds = dice_.between(1, 3); rounds > 0; --rounds) {
            TORTURE_NEEDS(job->send_signal(SIGSTOP).has_value());
            TORTURE_NEEDS(support::eventually([&] { return job->stopped() == SIGSTOP; }));
            TORTURE_NEEDS(!job->wait_for(dice_.milliseconds(0, 5)));
            if (dice_.chance(30)) break;
            TORTURE_NEEDS(job->send_signal(SIGCONT).has_value());
            TORTURE_NEEDS(support::eventually([&] { return job->stopped() == 0; }));
        }
        end(*std::move(job));
    }

    /// A thread that is cancelled while it waits: not before the job has ended.
    void cancelled_thread() {
        child_ = pick();
        options_.out = leash::null;
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        struct Waiting {
            leash::Popen& job;
            int way;
            std::atomic<bool> has_returned{false};
        } waiting{*job, dice_.between(0, 2)};
        const auto wait = [](void* given) -> void* {
            Waiting& my = *static_cast<Waiting*>(given);
            if (my.way == 0) my.job.wait();
            else if (my.way == 1) static_cast<void>(my.job.wait_for(1h));
            else my.job.stop(10ms);
            my.has_returned = true;
            for (;;) ::pause();  // here it may be cancelled, and not in there
        };
        pthread_t thread;
        TORTURE_NEEDS(::pthread_create(&thread, nullptr, wait, &waiting) == 0);
        std::this_thread::sleep_for(dice_.milliseconds(0, 5));
        ::pthread_cancel(thread);
        const leash::ExitStatus status = job->stop(dice_.milliseconds(0, 20));
        void* result = nullptr;
        TORTURE_NEEDS(::pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
        TORTURE_NEEDS(waiting.has_returned);
        TORTURE_NEEDS(job->wait() == status);
        check_status(status, true);
        ++tally_.by_force;
    }

    /// A copy of the host that drops the handle, and the original that goes on with it.
    void copy() {
        child_ = endless("sleep", support::child({"sleep", "ready\n"}), "ready\n");
        options_.in = leash::piped;
        options_.out = leash::piped;
        options_.timeout = {};
        if (dice_.chance(50)) options_.cancel.emplace();
        auto job = leash::Popen::try_spawn(child_.command, options_);
        if (!started(job)) return;
        const pid_t copy = ::fork();
        if (copy == 0) {
            ::alarm(20);
            if (dice_.chance(50)) job->kill();
            { const leash::Popen dropped = *std::move(job); }
            ::_exit(0);
        }
        TORTURE_NEEDS(copy > 0);
        int state = -1;
        while (::waitpid(copy, &state, 0) < 0 && errno == EINTR) {}
        TORTURE_NEEDS(state == 0);
        TORTURE_NEEDS(job->out().read_until("ready\n", 20s).complete);
        TORTURE_NEEDS(!job->poll());
        is_ready_ = true;
        end(*std::move(job));
    }

    // ---- afterwards

    /// Nothing of it is left, but for those that left its group on purpose: ~Census ends them.
    void check_nothing_left() {
        const bool gone = support::eventually([&] { return census_.alive().size() <= may_escape_; });
        if (may_escape_ > 0) tally_.escaped += static_cast<long>(census_.alive().size());
        if (gone) return;
        std::string left;
        for (const pid_t pid : census_.alive()) {
            std::string line = support::read_file("/proc/" + std::to_string(pid) + "/cmdline");
            std::replace(line.begin(), line.end(), '\0', ' ');
            left += "\n  " + std::to_string(pid) + " " + support::state_of(pid) + " " + line;
        }
        throw Failure("processes are left:" + left);
    }

    /// For a message: what it was, and how it ended.
    std::string describe() const {
        return child_.name + (status_ ? ", " + status_->describe() : "") +
               (way_ == way_none ? "" : ", ended by way " + std::to_string(way_));
    }

  private:
    static constexpr std::size_t any_number = 1000;
    static constexpr auto for_long = 60s;  // what is not to be used up

    /// Fires a token after a while, from a thread of its own.
    class Ender {
      public:
        Ender() = default;
        Ender(leash::Cancel token, milliseconds after)
            : thread_([token, after]() mutable { std::this_thread::sleep_for(after), token.fire(); }) {}
        Ender(Ender&&) = default;
        ~Ender() {
            if (thread_.joinable()) thread_.join();
        }

      private:
        std::thread thread_;
    };

    Child pick() {
        Child child = any_child(dice_);
        ++tally_.children[child.name];
        // who is apart is reached for certain when all are there, and then not by terminate(): see are_reached()
        may_escape_ += static_cast<std::size_t>(child.apart + (child.escapes ? 1 : 0));
        return child;
    }

    /// What has to do with how it ends.
    void suit(const Child& child, leash::Options& its) {
        if (its.stragglers == Stragglers::kill && dice_.chance(10)) its.stragglers = Stragglers::wait;
        if (child.place) its.grace = for_long;
    }
    static bool comes_to_end(const Child& child, const leash::Options& its) {
        const bool stay = child.stays.value_or(0) > 0 || child.escapes;
        return child.ends && !(stay && its.stragglers == Stragglers::wait);
    }
    /// Who says that all are there may do so between the look at the job and its end, at which nobody knows them yet.
    bool may_be_ending() const {
        return options_.cancel || !options_.idle_timeout.is_none() ||
               (!options_.timeout.is_none() && age_.elapsed() >= options_.timeout.length());
    }
    /// It was ended by force when all of it was there.
    void are_reached() {
        if (is_ready_) may_escape_ -= static_cast<std::size_t>(std::exchange(child_.apart, 0));
    }

    /// What has no bearing on how it ends.
    void dress(leash::Options& its) {
        its.env = census_.env();
        its.grace = dice_.milliseconds(0, 30);
        its.drain = dice_.one_of({milliseconds(0), milliseconds(20), milliseconds(200)});
        if (dice_.chance(10)) its.cwd = "/";
        if (dice_.chance(10)) its.group = leash::Group::session;
        if (dice_.chance(5)) its.group = leash::Group::inherited, may_escape_ += any_number;
        if (dice_.chance(5)) its.stragglers = leash::Stragglers::leave, may_escape_ += any_number;
#if defined(__linux__)
        if (dice_.chance(10)) its.reach = leash::Reach::tree;
#endif
        if (dice_.chance(10)) its.die_with_parent = true;
        if (dice_.chance(10)) its.timeout = dice_.milliseconds(1, 80);
        if (dice_.chance(30)) {
            its.max_output = static_cast<std::size_t>(dice_.one_of({0, 1, 7, 1000, 100'000}));
            its.keep = dice_.one_of({leash::Keep::head, leash::Keep::tail, leash::Keep::ends});
        }
    }

    void give_input() {
        if (dice_.chance(50)) return;  // none
        input_ = support::pattern(static_cast<std::size_t>(dice_.one_of({0, 1, 5000, 500'000})));
        options_.in = leash::bytes(input_);
    }

    /// Makes sure that what does not end by itself is ended: by its deadline, or by a token. Or not, unless `always`.
    Ender make_ender(bool always = true) {
        suit(child_, options_);
        if (comes_to_end(child_, options_) ? dice_.chance(80) : !always && dice_.chance(50)) return {};
        switch (dice_.between(0, 3)) {
            case 0: options_.cancel.emplace(); return {*options_.cancel, dice_.milliseconds(0, 50)};
            case 1:
                if (options_.out.is(leash::piped) && always) {  // it is read all the time
                    options_.idle_timeout = dice_.milliseconds(5, 50);
                    options_.timeout = dice_.milliseconds(100, 200);  // what floods is never idle
                    return {};
                }
                [[fallthrough]];
            default: options_.timeout = dice_.milliseconds(1, 80); return {};
        }
    }

    template <class T>
    bool started(const leash::Expected<T>& what) {
        if (what) return true;
        if (!child_.is_missing || what.error().step != leash::Step::program) throw Failure(what.error().message());
        ++tally_.not_started;
        return false;
    }

    void check_time(const support::Stopwatch& watch, Timeout limit) {
        if (limit.is_none()) return;
        const auto bound = limit.length() + options_.grace.length() + options_.drain.length();
        const auto late = watch.elapsed() - milliseconds(bound);
        tally_.latest = std::max(tally_.latest, late);
        TORTURE_NEEDS(late < 20s);  // a busy machine is late too; one that hangs is later
    }

    void count(bool timed_out, bool cancelled, bool held) {
        ++(timed_out ? tally_.timed_out : cancelled ? tally_.cancelled : tally_.by_themselves);
        tally_.held += held ? 1 : 0;
    }

    void check_status(leash::ExitStatus status, bool interfered) {
        status_ = status;
        TORTURE_NEEDS(is_plausible(child_, status, interfered));
    }

    /// The end of a job that was read to its end.
    void check(const leash::Result& result) {
        check(result.status, result, result.ended_by, result.stragglers);
        TORTURE_NEEDS(result.timed_out == is_timeout(result.ended_by));
        TORTURE_NEEDS(result.cancelled == (result.ended_by == EndedBy::cancel));
    }
    void check(leash::ExitStatus status, const leash::Streams& streams, const leash::Popen& job) {
        check(status, streams, job.ended_by(), job.stragglers());
    }
    void check(leash::ExitStatus status, const leash::Streams& streams, EndedBy by,
               const std::vector<leash::Process>& stragglers) {
        const bool timed_out = is_timeout(by), cancelled = by == EndedBy::cancel, interfered = by != EndedBy::itself;
        TORTURE_NEEDS(timed_out || cancelled || !interfered);
        TORTURE_NEEDS(!timed_out || !options_.timeout.is_none() || !options_.idle_timeout.is_none());
        if (cancelled && options_.cancel && status.unknown()) return count(false, true, false);  // not even started
        check_status(status, interfered);
        check_stragglers(status, by, stragglers, !streams.held.empty());
        for (const leash::Process& one : streams.held)
            TORTURE_NEEDS(one.why.rfind("holds ", 0) == 0 && (one.pid > 1 || one.pid == -1) && one.pid != ::getpid());
        TORTURE_NEEDS(streams.out.size() <= options_.max_output && streams.err.size() <= options_.max_output);
        if (child_.echoes) child_.out = input_;
        // Who says something late may be cut off, and is named then.
        const bool is_cut = child_.is_late && (!stragglers.empty() || !streams.held.empty());
        if (child_.out && !interfered && !is_cut) {
            TORTURE_NEEDS(streams.out == kept(*child_.out, options_));
            TORTURE_NEEDS(streams.out_truncated == (streams.out.size() < child_.out->size()));
        } else if (child_.out && options_.keep == leash::Keep::head) {
            TORTURE_NEEDS(child_.out->compare(0, streams.out.size(), streams.out) == 0);
        }
        if (interfered) are_reached();
        is_ready_ = streams.out.rfind("ready\n", 0) == 0;
        if (interfered && is_ready_ && options_.group != leash::Group::inherited) check_saved();
        count(timed_out, cancelled, !streams.held.empty());
    }

    static bool is_timeout(EndedBy by) { return by == EndedBy::timeout || by == EndedBy::idle_timeout; }

    /// Those are named who were left in the group at the end of the drain, and nobody else but who had got away. What ends
    /// the call after that is told of only where somebody holds a stream: one that escaped, or the noise, which forked at the
    /// moment of the start.
    void check_stragglers(leash::ExitStatus status, EndedBy by, const std::vector<leash::Process>& stragglers,
                          bool is_held) const {
        const bool has_tree = options_.reach == leash::Reach::tree;
        const bool ends_them =
            options_.stragglers == Stragglers::kill && (has_tree || options_.group != leash::Group::inherited);
        TORTURE_NEEDS(stragglers.empty() || (ends_them && (by == EndedBy::itself || child_.escapes || is_held)));
        for (const leash::Process& one : stragglers) TORTURE_NEEDS(one.pid > 1 && one.pid != ::getpid());
        if (!ends_them || by != EndedBy::itself || !child_.ends || status != child_.status || !child_.stays) return;
        const auto stay = static_cast<std::size_t>(*child_.stays);
        TORTURE_NEEDS(stragglers.size() == stay || (has_tree && stragglers.size() > stay && child_.escapes));
    }

    /// It had SIGTERM, and the time that it needed.
    void check_saved() const {
        if (child_.place) TORTURE_NEEDS(support::read_file(*child_.place / "state") == "saved");
    }

    /// All that it says; nullptr where that is not known.
    const std::string* whole() const { return child_.echoes ? &input_ : child_.out ? &*child_.out : nullptr; }

    /// What has been read continues what had been.
    void heard(std::string_view text) {
        const std::string* const all = whole();
        if (all == nullptr || has_dropped_) return;
        TORTURE_NEEDS(heard_ + text.size() <= all->size() && all->compare(heard_, text.size(), text) == 0);
        heard_ += text.size();
        is_ready_ = is_ready_ || (heard_ > 0 && *all == "ready\n" && !may_be_ending());
    }

    /// A line, and with it its end. The last one may have none, also where it is cut off.
    void heard_line(std::string_view line, bool may_be_cut) {
        heard(line);
        const std::string* const all = whole();
        if (all == nullptr || has_dropped_ || heard_ == all->size()) return;
        if ((*all)[heard_] == '\n') ++heard_;
        else TORTURE_NEEDS(may_be_cut);
    }

    void talk(leash::Popen& job) {
        const milliseconds time = dice_.milliseconds(0, 5);
        switch (dice_.between(0, 8)) {
            case 0: heard(job.out().read(static_cast<std::size_t>(dice_.between(1, 100'000)), time).data); break;
            case 1: heard(job.out().try_read().data); break;
            case 2: heard(job.out().read_until(dice_.one_of({"\n", "y", "abc"}), time).data); break;
            case 3: {
                const leash::Match match = job.out().expect({"ready", "f\n", "\n"}, time);
                heard(match.before + match.matched);
                break;
            }
            case 4:
            case 5:
                for (const std::string_view line : job.out().lines(time)) {
                    heard_line(line, !job.out().is_open());
                    if (dice_.chance(10)) break;
                }
                break;
            case 6:
            case 7: {
                const std::size_t before = input_.size();
                const std::string piece = support::pattern(static_cast<std::size_t>(dice_.between(0, 30'000)), before);
                const bool tries = dice_.chance(50);
                input_ += piece;  // may come back at once
                const leash::Written written = tries ? job.in().try_write(piece) : job.in().write(piece, time);
                // It reads meanwhile, and drops what is past that.
                has_dropped_ |= !tries && job.out().available() >= options_.max_output;
                input_.resize(before + written.count);
                break;
            }
            default:
                if (dice_.chance(20)) job.in().close();
                break;
        }
    }

    /// One of the ways in which a handle's owner has had enough of it.
    void end(leash::Popen job) {
        const milliseconds grace = dice_.milliseconds(0, 30);
        std::optional<leash::ExitStatus> status;
        const support::Stopwatch watch;
        way_ = dice_.between(0, 5);
        switch (way_) {
            case way_stop: status = job.stop(child_.place && is_ready_ ? for_long : Timeout(grace)); break;
            case way_kill:
                static_cast<void>(job.kill().has_value());
                status = job.wait();
                break;
            case way_terminate:
                static_cast<void>(job.terminate().has_value());
                status = job.wait_for(grace);
                break;
            case way_communicate: status = job.communicate({}, grace).status; break;
            case way_move: {
                leash::Popen other = std::move(job);
                break;
            }
            default: break;
        }
        check_time(watch, grace);
        if (status) check_status(*status, true);
        if (way_ == way_stop && is_ready_ && options_.group != leash::Group::inherited) check_saved();
        if (way_ != way_terminate) are_reached();
        ++tally_.by_force;
    }

    leash::Options options_;
    Dice& dice_;
    Tally& tally_;
    const support::Census census_ = make_census();
    Child child_ = ending("", {"true"});
    std::optional<leash::ExitStatus> status_;
    std::size_t may_escape_ = 0;  // how many processes
    std::string input_;           // what it is told
    std::size_t heard_ = 0;       // how much it has said
    bool has_dropped_ = false;    // some of that may be missing
    support::Stopwatch age_;      // since before its start
    bool is_ready_ = false;       // where that is "ready\n", it has said so
    enum : int { way_none = -1, way_stop, way_kill, way_terminate, way_communicate, way_move };
    int way_ = way_none;  // of end()
};

/// A way through the interface.
struct Way {
    const char* name;
    void (Job::*take)();
};
inline constexpr Way ways[] = {
    {"run", &Job::run},
    {"pipeline", &Job::pipeline},
    {"communicate", &Job::communicate},
    {"streams", &Job::streams},
    {"wait", &Job::wait},
    {"many_threads", &Job::many_threads},
    {"handles", &Job::handles},
    {"descriptors", &Job::descriptors},
    {"run_all", &Job::run_all},
    {"supervise", &Job::supervise},
    {"terminal", &Job::terminal},
    {"shell_at_terminal", &Job::shell_at_terminal},
    {"daemon", &Job::daemon},
    {"stopped", &Job::stopped},
    {"cancelled_thread", &Job::cancelled_thread},
    {"copy", &Job::copy},
};

}  // namespace torture
