# Every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# As the product is built: libraries are compiled once for programs and tests.
export CGO_ENABLED := 0

CONTROLLER_GEN := go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.21.0
GOLANGCI_LINT  := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
CLUSTER        := go run ./test/cluster/cmd/cluster

# Of the demo and the benchmark of migrations: messages per second, MiB of memory, service time, migrations in a row, nodes.
RATE    ?= 50
MEMORY  ?= 64
SERVICE ?= 5ms
RUNS    ?= 1
NODES   ?= 2

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Live-migrate a stateful pod on a real cluster and prove its state exact (RATE, MEMORY, SERVICE, RUNS)
	go run ./test/demo --rate $(RATE) --memory $(MEMORY) --service $(SERVICE) --runs $(RUNS) --nodes $(NODES)

.PHONY: test
test: test-unit verify lint test-integration ## Everything: unit tests, generated files, linters, and the real cluster

.PHONY: test-unit
test-unit: ## Unit tests, under two minutes, no root
	go vet ./...
	go test ./...

# One package after the other: a machine has room for one cluster.
.PHONY: test-integration
test-integration: ## The product on a real two-node cluster (root)
	go test -tags integration -p 1 -count 1 -timeout 60m -v ./test/broker ./test/cluster ./test/integration/...

# Parts of the benchmark, one after the other.
PART ?= gate migrations

.PHONY: bench
bench: ## Measure all, or only what PART names: gate, migrations (root)
	for part in $(PART); do $(MAKE) --no-print-directory bench-$$part; done

.PHONY: bench-gate
bench-gate: ## What the gate costs, in out/bench-gate.json and out/bench-gate.svg (root)
	go run ./test/bench gate

.PHONY: bench-migrations
bench-migrations: ## Migrations at several rates, in out/bench.json and out/bench.svg (root)
	go run ./test/bench migrations --memory $(MEMORY) --service $(SERVICE)

.PHONY: bench-delivery
bench-delivery: ## Deliveries of checkpoints against plain copies and images, in out/bench-delivery.json (root)
	go run ./test/bench/delivery

# Runs of the chaos, and the seed of the first.
CHAOS ?= 200
SEED  ?=

.PHONY: chaos
chaos: ## Migrations struck at random, in out/chaos.json and out/chaos.svg (CHAOS=200 runs; SEED repeats; root)
	go run ./test/chaos/cmd/chaos --runs $(CHAOS) $(if $(SEED),--seed $(SEED))

.PHONY: kubectl-ms2m
kubectl-ms2m: ## Build the plugin of kubectl, out/kubectl-ms2m
	go build -ldflags='-s -w' -o out/kubectl-ms2m ./cmd/kubectl-ms2m

.PHONY: cluster-up
cluster-up: ## Start a real cluster on this machine (root; NODES from 1 to 4)
	$(CLUSTER) up --nodes $(NODES)

.PHONY: cluster-down
cluster-down: ## Take the cluster down, and whatever an interrupted one left
	$(CLUSTER) down

.PHONY: cluster-shell
cluster-shell: ## A shell with kubectl for the cluster that is up
	$(CLUSTER) shell

.PHONY: lint
lint: ## Linters, and the direction of imports
	@test -z "$$(gofmt -l cmd pkg test)" || { gofmt -l cmd pkg test; echo "run gofmt -w on these files"; exit 1; }
	$(GOLANGCI_LINT) run ./...

.PHONY: generate
generate: ## Write deep copies and the CRD anew
	$(CONTROLLER_GEN) object paths=./pkg/api/... paths=./pkg/plugin/... crd output:crd:dir=manifests/crd

.PHONY: verify
verify: generate ## Fail when generated files or go.mod differ, or a file is untracked
	go mod tidy -diff
	@changes=$$(git status --porcelain); test -z "$$changes" || { echo "$$changes"; git diff | head -100; echo "commit these, or ignore them"; exit 1; }
