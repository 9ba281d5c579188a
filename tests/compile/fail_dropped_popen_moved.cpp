// expect: nodiscard
#include <leash/leash.hpp>

leash::Popen start();

int main() { start(); }
