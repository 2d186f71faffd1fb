# Everything here works as any user, without root. Only set-up needs a network; the rest runs without one.

PYTHON ?= python3
BIN := .venv/bin
PROTOS := $(wildcard protos/edgewise/v1/*.proto)
PROTOC := $(BIN)/python -m grpc_tools.protoc -I protos
UV := build/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz check bench bench-engine bench-rag bench-router bench-gateway bench-compare bench-cli bench-injection soak test-system protos lock sbom

help: ## Say what there is.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-15s %s\n", $$1, $$2}'

setup: ## Make .venv, compile llama.cpp and fetch the models: minutes at first, nothing afterwards.
	@$(PYTHON) deploy/bootstrap.py

demo: setup ## Ask a small set of questions in every mode and print the measured table.
	@$(BIN)/edgewise demo

test: setup ## Run the tests.
	$(BIN)/pytest -n 2 --dist loadfile -m "not system"

fuzz: setup ## Send many more wrong requests and files than `make test` does, and other ones each time: minutes.
	EDGEWISE_FUZZ=$(or $(TIMES),10) $(BIN)/pytest tests/fuzz --timeout 3600

check: setup ## Check format, lint, types, layers, and the protocol with its generated code.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	rm -rf build/protos && mkdir -p build/protos
	$(PROTOC) --python_out=build/protos --pyi_out=build/protos --grpc_python_out=build/protos $(PROTOS)
	diff -r -x '*.proto' -x __pycache__ build/protos/edgewise/v1 protos/edgewise/v1

bench: bench-engine bench-gateway bench-compare bench-cli bench-injection $(if $(DATA),bench-rag bench-router) ## Run all benchmarks; each writes build/bench/NAME.json. Wants a machine that does nothing else, and DATA=FOLDER.

bench-engine: setup ## Measure the edge engine beside llama-cpp-python and llama.cpp's server: an hour, or minutes with QUICK=1.
	@$(BIN)/python -m tests.bench.engine $(if $(QUICK),--quick)

bench-rag: setup ## Measure retrieval, refusals and answers on the sets in DATA=FOLDER (XQuAD, HotpotQA, 2Wiki): an hour.
	@$(if $(DATA),,$(error say where the sets are: make bench-rag DATA=FOLDER (python -m tests.bench.rag --help)))
	@$(BIN)/python -m tests.bench.rag --data $(or $(wildcard $(DATA)/rag),$(DATA))

bench-router: setup ## Measure routing on the sets in DATA=FOLDER (RouteLLM, ParetoBandit, GSM8K): an hour.
	@$(if $(DATA),,$(error say where the sets are: make bench-router DATA=FOLDER (python -m tests.bench.router --help)))
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.router --data $(or $(wildcard $(DATA)/routing),$(DATA))

bench-gateway: setup ## Measure the gateway and the router beside a bare relay: minutes.
	@$(BIN)/python -m tests.bench.gateway

bench-compare: setup ## Measure comparing: statistics, replay, the page; some minutes. Wants Chromium.
	@$(BIN)/python -m tests.bench.compare

bench-cli: setup ## Measure what somebody at a terminal waits for: help, demo, set-up.
	@$(BIN)/python -m tests.bench.cli

bench-injection: setup ## Measure how often an answer obeys an order that stands in a document: minutes.
	@$(BIN)/python -m tests.bench.injection

soak: setup ## Ask the edge engine everything at once for ten minutes, then the gateway 10,000 times: both are as before.
	@$(BIN)/python -m tests.soak.engine
	@$(BIN)/python -m tests.soak.gateway

test-system: setup ## Run the tests that need root or system tools (PostgreSQL, Chromium), which root gets installed.
	@$(PYTHON) deploy/system_packages.py
	$(BIN)/pytest -m system

protos: setup ## Generate the Python code of the protocol again.
	$(PROTOC) --python_out=protos --pyi_out=protos --grpc_python_out=protos $(PROTOS)

lock: $(UV) ## Pin the dependencies of pyproject.toml again, changing as few as possible.
	$(COMPILE) --extra dev --no-emit-package llama-cpp-python -o requirements.lock pyproject.toml
	grep -oE 'llama-cpp-python==[0-9.]+' pyproject.toml | $(COMPILE) --no-deps -o deploy/llama/requirements.lock -

sbom: setup ## Write the software bill of materials, build/sbom.json (CycloneDX).
	@$(BIN)/python -m deploy.sbom

$(UV):
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet uv==0.13.9
