#!/usr/bin/env python3
"""What `conan create` does with a recipe, for machines without Conan:

    conan_steps.py <folder of the recipe> <folder to work in>

once for each value of the option header_only. It stands in for those names of Conan 2 that the recipe and its test package use, and builds for this machine alone.
"""

import collections
import fnmatch
import hashlib
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import types
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True


class ConanInvalidConfiguration(Exception):
    pass


class Properties:
    """A cpp_info, or one of its components."""

    def __init__(self):
        self.includedirs, self.libdirs, self.bindirs = ["include"], ["lib"], ["bin"]
        self.libs, self.defines, self.system_libs, self.properties = [], [], [], {}
        self.components = collections.defaultdict(Properties)

    def set_property(self, name, value):
        self.properties[name] = value


class ConanFile:
    generators = ()

    def __init__(self, folder, work, options):
        data = folder / "conandata.yml"
        self.conan_data = parsed(data.read_text()) if data.exists() else None
        self.source_folder, self.build_folder, self.package_folder = (work / name for name in ("src", "build", "package"))
        self.settings = types.SimpleNamespace(os=platform.system(), build_type="Release")
        self.options = types.SimpleNamespace(**options)
        self.info = types.SimpleNamespace(clear=lambda: None, options=self.options)
        self.cpp = types.SimpleNamespace(build=types.SimpleNamespace(bindir="."))
        self.cpp_info = Properties()
        self.required = []

    def requires(self, reference):
        self.required.append(reference)

    def run(self, command, env=None):
        subprocess.run(command, shell=True, cwd=self.build_folder, check=True)


def parsed(yaml):
    """A conandata.yml with `sources`, which has one version, which has the arguments of get()."""
    version = re.search(r'^sources:\n  "(.+)":$', yaml, re.MULTILINE).group(1)
    return {"sources": {version: dict(re.findall(r'^    (\w+): "(.+)"$', yaml, re.MULTILINE))}}


def get(recipe, url, sha256, strip_root):
    packed = recipe.source_folder / "archive"
    recipe.source_folder.mkdir(parents=True)
    with urllib.request.urlopen(url) as source:
        packed.write_bytes(source.read())
    if hashlib.sha256(packed.read_bytes()).hexdigest() != sha256:
        sys.exit(f"{url}: not the sha256 that conandata.yml says")
    with tarfile.open(packed) as archive:
        for member in archive:
            member.name = member.name.partition("/")[2] if strip_root else member.name
            if member.name:
                archive.extract(member, recipe.source_folder)


def copy(recipe, pattern, src, dst, keep_path=True):
    for path in sorted(Path(src).rglob("*")):
        if path.is_file() and fnmatch.fnmatch(path.name, pattern):
            target = Path(dst) / (path.relative_to(src) if keep_path else path.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


class CMakeToolchain:
    def __init__(self, recipe):
        self.recipe, self.cache_variables = recipe, {}

    def generate(self):
        self.recipe.cache_variables = self.cache_variables


class CMake:
    def __init__(self, recipe):
        self.folder, self.source = recipe.build_folder, recipe.source_folder
        self.variables = getattr(recipe, "cache_variables", {})

    def configure(self):
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.source, "-B", self.folder, f"-DCMAKE_PREFIX_PATH={self.folder}",
                        *(f"-D{name}={'ON' if value else 'OFF'}" for name, value in self.variables.items())], check=True)

    def build(self):
        subprocess.run(["cmake", "--build", self.folder], check=True)


def module(name, **names):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(names)


def load(folder):
    spec = importlib.util.spec_from_file_location(folder.name, folder / "conanfile.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return next(value for value in vars(loaded).values()
                if isinstance(value, type) and issubclass(value, ConanFile) and value is not ConanFile)


def create(folder, work, options):
    recipe = load(folder)(folder, work, options)
    recipe.set_version()
    recipe.configure()
    recipe.layout()
    recipe.validate()
    recipe.source()
    recipe.generate()
    recipe.build()
    recipe.package()
    recipe.package_id()
    recipe.package_info()
    found = sorted(path.name for path in recipe.package_folder.iterdir())
    expected = ["include", "licenses"] if options["header_only"] else ["include", "lib", "licenses"]
    if found != expected or not (recipe.package_folder / "licenses" / "LICENSE").is_file():
        sys.exit(f"the package is not {expected}: {found}")
    if (recipe.package_type == "header-library") != options["header_only"]:
        sys.exit(f"the package is no {recipe.package_type}")
    return recipe


def cmake_deps(recipe, folder):
    """What the generator CMakeDeps makes of cpp_info: a config file for find_package()."""
    folder.mkdir(parents=True)
    lines = []
    for part in recipe.cpp_info.components.values():
        name = part.properties["cmake_target_name"]
        libraries = [str(recipe.package_folder / where / f"lib{library}.a") for where in part.libdirs for library in part.libs]
        include = ";".join(str(recipe.package_folder / where) for where in part.includedirs)
        lines += [f"add_library({name} INTERFACE IMPORTED)",
                  f"target_include_directories({name} INTERFACE \"{include}\")",
                  f"target_compile_definitions({name} INTERFACE {' '.join(part.defines)})",
                  f"target_link_libraries({name} INTERFACE {' '.join(libraries + part.system_libs)})"]
    (folder / f"{recipe.name}-config.cmake").write_text("\n".join(lines) + "\n")


def test(folder, work, package):
    recipe = load(folder)(folder, work, {})
    recipe.source_folder = folder
    recipe.tested_reference_str = f"{package.name}/{package.version}"
    recipe.dependencies = {package.name: package}
    recipe.requirements()
    recipe.layout()
    if recipe.required != [recipe.tested_reference_str] or set(recipe.generators) != {"CMakeToolchain", "CMakeDeps"}:
        sys.exit("the test package does not require what it is to test")
    cmake_deps(package, recipe.build_folder)
    recipe.build()
    recipe.test()


def main():
    folder, work = (Path(argument).resolve() for argument in sys.argv[1:])
    module("conan", ConanFile=ConanFile)
    module("conan.errors", ConanInvalidConfiguration=ConanInvalidConfiguration)
    module("conan.tools")
    module("conan.tools.build", check_min_cppstd=lambda recipe, standard: None, can_run=lambda recipe: True)
    module("conan.tools.files", copy=copy, get=get)
    module("conan.tools.cmake", CMake=CMake, CMakeToolchain=CMakeToolchain, cmake_layout=lambda recipe, src_folder=None: None)
    for value, name in ((True, "header-only"), (False, "compiled")):
        package = create(folder, work / name / "package", {"header_only": value})
        test(folder / "test_package", work / name / "test", package)
        print(f"{package.name}/{package.version}, {name}: packaged and tested")


if __name__ == "__main__":
    main()
