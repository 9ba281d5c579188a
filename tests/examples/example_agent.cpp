// tests/examples/example_agent.cpp - examples/agent.cpp: the incident. It checks itself, and exits with 0 only if all
// was as it says.

#include "example.hpp"

using namespace support;

TEST_CASE("agent: the incident happens without leash, and not with it") {
    const Census census;
    const leash::Result result = run_example("agent", {}, census);
    INFO(result.out);
    CHECK(result.status.code() == 0);
    const std::size_t with = result.out.find("\nWITH LEASH");
    REQUIRE(with != std::string::npos);
    CHECK(contains(result.out.substr(0, with), "Address already in use"));
    CHECK_FALSE(contains(result.out.substr(with), "Address already in use"));
    CHECK(contains(result.out.substr(with), " again\n"));
    CHECK_FALSE(contains(result.out, "NOT AS PROMISED"));
    CHECK(census.reaches(0));
}
