// tests/test_threads.cpp - one handle in many threads, and many jobs at once.
#include <doctest/doctest.h>

#include "support.hpp"

#include <atomic>
#include <optional>
#include <stdexcept>

#include <sys/socket.h>

using support::Census;
using support::child;
using support::NothingLeft;
using support::pattern;
using namespace std::chrono_literals;

namespace {

/// Threads that start their work together.
class Crowd {
  public:
    template <class Work>
    Crowd(int count, Work work) {
        for (int i = 0; i < count; ++i) {
            threads_.emplace_back([this, work, i] {
                while (!go_) std::this_thread::yield();
                work(i);
            });
        }
        go_ = true;
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;
    ~Crowd() {
        for (std::thread& thread : threads_) thread.join();
    }

  private:
    std::atomic<bool> go_{false};
    std::vector<std::thread> threads_;
};

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("a hundred threads wait for, poll, signal and ask one handle") {
    const Census census;
    const NothingLeft before;
    for (int round = 0; round < 5; ++round) {
        leash::Options options = support::silent(census);
        leash::Popen p(child({"sleep"}), options);
        const pid_t pid = p.pid();
        std::atomic<int> ended{0}, wrong{0};
        {
            Crowd crowd(100, [&](int i) {
                std::optional<leash::ExitStatus> status;
                switch (i % 10) {
                    case 0: status = p.wait(); break;
                    case 1:
                        while (!(status = p.wait_for(1ms))) {}
                        break;
                    case 2: status = p.wait_until(std::chrono::system_clock::now() + 1h); break;
                    case 3:
                        while (!(status = p.poll())) std::this_thread::yield();
                        break;
                    case 4:
                        static_cast<void>(p.send_signal(0));
                        status = p.wait_for(1h);
                        break;
                    case 5:
                        static_cast<void>(p.exit_handle());
                        status = p.wait();
                        break;
                    case 6:
                        if (p.pid() != pid || p.timed_out() || p.cancelled() || !p.survivors().empty()) ++wrong;
                        static_cast<void>(p.usage());
                        status = p.wait();
                        break;
                    case 7:
                        if (i == 97) std::this_thread::sleep_for(5ms), static_cast<void>(p.kill());
                        status = p.wait();
                        break;
                    case 8: status = p.wait(); break;
                    default:
                        status = p.wait();
                        static_cast<void>(p.kill());  // after the end: refused
                        break;
                }
                if (status && status->signal() == SIGKILL) ++ended;
            });
        }
        CHECK(ended == 100);
        CHECK(wrong == 0);
        CHECK(support::state_of(pid) == '\0');
    }
    CHECK(before.holds());
}

TEST_CASE("many threads stop, terminate and kill one job: it ends once, and all see the same end") {
    const Census census;
    const NothingLeft before;
    for (int round = 0; round < 10; ++round) {
        leash::Popen p(child({"fork-and-wait"}), support::silent(census));
        std::atomic<int> same{0};
        std::vector<leash::ExitStatus> seen(30);
        {
            Crowd crowd(30, [&](int i) {
                leash::ExitStatus& status = seen[static_cast<std::size_t>(i)];
                switch (i % 3) {
                    case 0: status = p.stop(i % 2 == 0 ? 0s : 1h); break;
                    case 1:
                        static_cast<void>(p.terminate());
                        status = p.wait();
                        break;
                    default:
                        static_cast<void>(p.kill());
                        status = p.wait();
                        break;
                }
            });
        }
        for (const leash::ExitStatus& status : seen) same += status == seen.front() && status.signaled() ? 1 : 0;
        CHECK(same == 30);
        CHECK(census.reaches(0));
    }
    CHECK(before.holds());
}

TEST_CASE("the deadline of a job that many threads wait for ends it once") {
    const Census census;
    leash::Options options = support::silent(census);
    options.timeout = 30ms;
    leash::Popen p(child({"sleep"}), options);
    std::atomic<int> ended{0};
    {
        Crowd crowd(20, [&](int i) {
            if (i % 2 == 0) ended += p.wait().signal() == SIGTERM ? 1 : 0;
            else ended += p.wait_for(1h)->signal() == SIGTERM ? 1 : 0;
        });
    }
    CHECK(ended == 20);
    CHECK(p.timed_out());
}

TEST_CASE("one thread reads while others wait, and a sink is never called by two at once") {
    const Census census;
    std::atomic<int> inside{0};
    std::atomic<bool> overlapped{false};
    std::string heard;  // without a lock of its own: the sink has no need of one
    leash::Options options = support::capture(census);
    options.err = leash::sink([&](std::string_view chunk) {
        if (++inside != 1) overlapped = true;
        heard += chunk;
        --inside;
    });
    leash::Popen p(child({"write-both", "3000000"}), options);
    std::string out;
    {
        Crowd crowd(8, [&](int i) {
            if (i == 0) out = p.out().read_all().data;
            else if (i % 2 == 0) static_cast<void>(p.wait());
            else
                while (!p.wait_for(1ms)) {}
        });
    }
    CHECK(p.wait().success());
    CHECK_FALSE(overlapped);
    CHECK((out == pattern(3'000'000)));
    CHECK((heard == pattern(3'000'000)));
}

TEST_CASE("one sink for out and err is never called twice at once, though two threads wait") {
    const Census census;
    std::atomic<int> inside{0};
    std::atomic<bool> overlapped{false};
    std::size_t heard = 0;
    const auto listen = leash::sink([&](std::string_view chunk) {
        if (++inside != 1) overlapped = true;
        std::this_thread::sleep_for(1ms);  // or they would hardly ever meet
        heard += chunk.size();
        --inside;
    });
    leash::Options options = support::capture(census);
    options.out = listen;
    options.err = listen;
    leash::Popen p(child({"write-both", "3000000"}), options);
    {
        const Crowd crowd(2, [&](int) { static_cast<void>(p.wait()); });
    }
    CHECK(p.wait().success());
    CHECK_FALSE(overlapped);
    CHECK(heard == 6'000'000);
}

TEST_CASE("a stop() that a sink leaves by an exception leaves its grace to whoever else waits") {
    const Census census;
    std::atomic<bool> threw{false}, waited{false};
    std::thread::id stopper;
    leash::Options options = support::capture(census);
    options.err = leash::sink([&](std::string_view) {
        if (std::this_thread::get_id() == stopper) throw std::runtime_error("enough");
    });
    // On SIGTERM it writes and does not end: sooner or later it is the one who stops it that hears of it.
    leash::Popen p(leash::shell("trap 'while :; do echo x >&2; done' TERM; echo ready; while :; do sleep 1; done"),
                   options);
    REQUIRE(p.out().read_until("ready\n", 60s));
    std::atomic<bool> go{false};
    std::thread stops([&] {
        while (!go) std::this_thread::yield();
        try {
            static_cast<void>(p.stop(300s));
        } catch (const std::runtime_error&) {
            threw = true;
        }
    });
    stopper = stops.get_id();
    support::Sleeper waiter;
    std::thread waits([&] {
        waiter.this_thread();
        static_cast<void>(p.wait());
        waited = true;
    });
    CHECK(waiter.falls_asleep());
    go = true;
    stops.join();
    CHECK(threw);
    CHECK_FALSE(waited);
    CHECK_FALSE(p.poll());
    CHECK(p.kill());
    waits.join();
    CHECK(p.wait().signal() == SIGKILL);
}

TEST_CASE("out, err and in may be served by a thread each") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    leash::Popen p(leash::shell("\"$1\" cat; \"$1\" write 1000000 2", {support::helper()}), options);
    const std::string data = pattern(2'000'000);
    std::string out, err;
    leash::Written written;
    {
        Crowd crowd(4, [&](int i) {
            if (i == 0) {
                written = p.in().write(data);
                p.in().close();
            } else if (i == 1) {
                out = p.out().read_all().data;
            } else if (i == 2) {
                err = p.err().read_all().data;
            } else {
                static_cast<void>(p.wait());
            }
        });
    }
    CHECK(written.complete);
    CHECK((out == data));
    CHECK((err == pattern(1'000'000)));
    CHECK(p.wait().success());
}

TEST_CASE("threads that start jobs at once get each their own") {
    const Census census;
    const NothingLeft before;
    std::atomic<int> good{0};
    {
        Crowd crowd(16, [&](int i) {
            for (int round = 0; round < 12; ++round) {
                const std::string word = std::to_string(i) + "." + std::to_string(round);
                leash::Options options = support::capture(census);
                options.in = leash::bytes(word);
                options.cwd = round % 2 == 0 ? "/" : "";
                if (leash::run(child({"cat"}), options).out == word) ++good;
            }
        });
    }
    CHECK(good == 16 * 12);
    CHECK(before.holds());
}

TEST_CASE("the end of a short child's output never waits for a long sibling") {
    const Census census;
    std::atomic<bool> stop{false};
    std::thread starter([&] {  // siblings that live on, started all the time
        std::vector<leash::Popen> siblings;
        while (!stop && siblings.size() < 200) {
            leash::Options options = support::capture(census);
            options.in = leash::piped;
            siblings.emplace_back(child({"sleep"}), options);
        }
        while (!stop) std::this_thread::sleep_for(1ms);
    });
    leash::Options options = support::capture(census);
    options.timeout = 60s;  // it would be reached, were a pipe held
    options.drain = 20s;    // a sibling may be on the way to its exec
    int good = 0;
    for (int i = 0; i < 50; ++i) {
        leash::Options plain = options;
        plain.in = leash::bytes("x");
        const leash::Result result = leash::run(child({"cat"}), plain);
        good += result.ok() && result.out == "x" && result.held.empty() ? 1 : 0;
    }
    stop = true;
    starter.join();
    CHECK(good == 50);
    CHECK(census.reaches(0));
}

TEST_CASE("nothing leaks into a child while another thread opens sockets without close-on-exec") {
    const Census census;
    std::atomic<bool> stop{false};
    std::atomic<int> opened{0};
    std::vector<std::thread> openers;
    for (int i = 0; i < 2; ++i) {
        openers.emplace_back([&] {
            while (!stop) {
                int held[8];
                for (int& fd : held) fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
                ++opened;
                for (const int fd : held) ::close(fd);
            }
        });
    }
    int leaks = 0;
    for (int i = 0; i < 150 || opened < 100; ++i) {
        leash::Options options = support::capture(census);
        options.pass_fds = {{0, i % 2 == 0 ? 3 : 9}};
        const std::string out = leash::run(child({"fds"}), options).out;
        std::string numbers;
        for (std::size_t from = 0; from < out.size(); from = out.find('\n', from) + 1)
            numbers += std::to_string(std::atoi(out.c_str() + from)) + " ";
        if (numbers != (i % 2 == 0 ? "0 1 2 3 " : "0 1 2 9 ")) {
            ++leaks;
            MESSAGE(out);
        }
    }
    stop = true;
    for (std::thread& thread : openers) thread.join();
    CHECK(leaks == 0);
}

TEST_CASE("the thread that started a job may end: the job lives") {
    const Census census;
    leash::Options options = support::capture(census);
    options.in = leash::piped;
    std::optional<leash::Popen> p;
    std::thread([&] { p.emplace(child({"wait-then-exit", "5"}), options); }).join();
    CHECK(p->out().read_until("ready\n").complete);
    std::this_thread::sleep_for(20ms);
    CHECK_FALSE(p->poll().has_value());
    p->in().close();
    CHECK(p->wait().code() == 5);
}

TEST_CASE("a job may be waited for and destroyed in other threads than its own") {
    const Census census;
    const NothingLeft before;
    std::optional<leash::Popen> p;
    std::thread([&] { p.emplace(child({"sleep"}), support::silent(census)); }).join();
    std::thread([&] { CHECK_FALSE(p->wait_for(1ms).has_value()); }).join();
    std::thread([&] { p.reset(); }).join();
    CHECK(census.is_empty());
    CHECK(before.holds());
}

TEST_CASE("copies of options, commands, tokens and sinks may be used by many threads") {
    const Census census;
    const leash::Cancel cancel;
    std::atomic<int> bytes{0};
    leash::Options options = support::capture(census);
    options.cancel = cancel;
    options.err = leash::sink([&](std::string_view chunk) { bytes += static_cast<int>(chunk.size()); });
    const leash::Command command = child({"print-to", "2", "xyz"});
    {
        Crowd crowd(8, [&](int) {
            for (int i = 0; i < 5; ++i) static_cast<void>(leash::run(command, options));
        });
    }
    CHECK(bytes == 8 * 5 * 3);
}

TEST_CASE("no waiter sleeps on when another thread sees the end first") {
    const Census census;
    leash::Cancel never;
    for (int round = 0; round < 300; ++round) {
        leash::Options options;
        options.env = census.env();
        options.cancel = never;
        leash::Popen p(child({"exit", "0"}), options);
        std::atomic<int> told{0};
        const Crowd crowd(4, [&](int) {
            const auto status = p.wait_for(20s);
            if (status && status->success()) ++told;
        });
        REQUIRE(support::eventually([&] { return told == 4; }, 10s));
    }
}

TEST_CASE("output in any thread keeps a job from being idle") {
    const Census census;
    leash::Options options = support::capture(census);
    options.idle_timeout = 5s;
    options.timeout = 60s;
    // stdout speaks, stderr never does: its reader waits longer than the idle timeout, and that is fine
    leash::Popen p(leash::shell("i=0; while [ $i -lt 13 ]; do echo $i; i=$((i+1)); sleep 0.5; done"), options);
    std::thread silent([&] { static_cast<void>(p.err().read_all(60s)); });
    int lines = 0;
    for (const std::string_view line : p.out().lines()) lines += line.empty() ? 0 : 1;
    silent.join();
    CHECK(lines == 13);
    CHECK(p.wait().success());
    CHECK(p.ended_by() != leash::EndedBy::idle_timeout);
}

TEST_CASE("who waits beside a slow sink does not burn a core") {
    const Census census;
    std::atomic<bool> entered{false}, released{false};
    leash::Options options = support::silent(census);
    options.out = leash::sink([&](std::string_view) {
        entered = true;
        while (!released) std::this_thread::sleep_for(1ms);
    });
    leash::Popen p(child({"write", "1000"}), options);
    std::thread first([&] { static_cast<void>(p.wait()); });
    CHECK(support::eventually([&] { return entered.load(); }));
    const support::Effort effort;
    CHECK_FALSE(p.wait_for(500ms).has_value());
    CHECK(effort.time() < 100ms);
    released = true;
    first.join();
}

TEST_SUITE_END();
