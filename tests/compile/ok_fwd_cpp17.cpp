// The names alone are enough to mention them, in a header of the user's; leash is a namespace like any other.
#include <leash/fwd.hpp>

namespace user {
void watch(leash::Popen& job, const leash::Options& how);
leash::Expected<leash::Result> attempt(const leash::Command& command, leash::Stragglers stragglers);
struct Agent {
    leash::Supervisor* jobs;
    leash::EndedBy (*why)(const leash::Task&);
};
}  // namespace user

#if LEASH_VERSION != LEASH_VERSION_MAJOR * 10000 + LEASH_VERSION_MINOR * 100 + LEASH_VERSION_PATCH || \
    LEASH_VERSION < 100
#error "LEASH_VERSION is not its three parts"
#endif

#include <leash/leash.hpp>

namespace user {
void watch(leash::Popen& job, const leash::Options& how) { job.stop(how.grace); }
leash::Expected<leash::Result> attempt(const leash::Command& command, leash::Stragglers stragglers) {
    leash::Options options;
    options.stragglers = stragglers;
    return leash::try_run(command, options);
}
}  // namespace user

// One's own type in its namespace, and found by argument-dependent lookup.
namespace leash {
struct Ours {};
inline int number_of(const Options&) { return 7; }
}  // namespace leash

int main() { return number_of(leash::Options{}) + static_cast<int>(sizeof(leash::Ours) + sizeof(user::Agent)); }
