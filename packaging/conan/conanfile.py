from os.path import join

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class LeashConan(ConanFile):
    name = "leash"
    description = "Start other programs, and leave nothing of them behind: a header-only C++17 subprocess library"
    license = "MIT"
    topics = ("subprocess", "process", "popen", "timeout", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    def set_version(self):
        (self.version,) = self.conan_data["sources"]  # conandata.yml has one

    def layout(self):
        basic_layout(self, src_folder="src")

    def package_id(self):
        self.info.clear()  # headers only: the same for every compiler

    def validate(self):
        if self.settings.os == "Windows":
            raise ConanInvalidConfiguration("leash serves POSIX systems only, so far")
        check_min_cppstd(self, 17)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def package(self):
        copy(self, "LICENSE", self.source_folder, join(self.package_folder, "licenses"))
        copy(self, "*.[hi]pp", join(self.source_folder, "include"), join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.system_libs = ["pthread"]
