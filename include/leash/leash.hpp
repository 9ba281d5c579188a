// leash - start other programs, and leave nothing of them behind.
#pragma once

#include <leash/config.hpp>

#include <leash/error.hpp>

#include <leash/deadline.hpp>

#include <leash/status.hpp>

#include <leash/command.hpp>

#include <leash/stdio.hpp>

#include <leash/cancel.hpp>

#include <leash/options.hpp>

#include <leash/stream.hpp>

#include <leash/popen.hpp>

#include <leash/run.hpp>
