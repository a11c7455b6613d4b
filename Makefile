# Penstock is built with Go alone; every target works on a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

# Static binaries without paths of this machine, so that a build of the same
# commit gives the same bytes. A tree without its history builds too.
export CGO_ENABLED := 0
GO        ?= go
VCS       := $(shell git rev-parse --verify -q HEAD >/dev/null 2>&1 && echo true || echo false)
GOBUILD    = $(GO) build -trimpath -buildvcs=$(VCS) -ldflags="$(STRIP) -buildid="
VERSION   := $(shell cat cmd/penstock/VERSION)

# How long make fuzz spends on each target, and make test on each package.
FUZZTIME ?= 20s
DEMO     ?= --for 60s
TIMEOUT  ?= 8m
# Packages that are tested at once. Two cores are enough for two.
P        ?= 2

DIST := linux-amd64 linux-arm64 linux-armv7

.PHONY: build demo test check bench network fuzz dist torture torture-spool tools clean help

## build: bin/penstock
build:
	@mkdir -p bin
	$(GOBUILD) -o bin/penstock ./cmd/penstock

## demo: build, then for a minute a gateway and a simulated water network; DEMO="--for 10m" for other flags
demo: build
	bin/penstock demo $(DEMO)

## test: everything that must hold, with the race detector
test: check
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout=$(TIMEOUT) -p=$(P) ./...

## check: what is found without running anything
check: tools
	$(GO) vet ./...
	@badly=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')); \
	if [[ -n $$badly ]]; then echo "These files need gofmt -w:"; echo "$$badly"; exit 1; fi

## tools: bring what the tests need beside Go: a C compiler, curl, programs of others to test against
tools:
	@scripts/tools gcc curl socat mbpoll node:nodejs npm /usr/include/modbus/modbus.h:libmodbus-dev mosquitto mosquitto_pub:mosquitto-clients rabbitmq-server pg_ctlcluster:postgresql pgbouncer

## bench: speed on this machine, beside the machine's own ceilings; BENCH="-headline 10m" for flags
bench: build tools
	$(GO) run ./bench $(BENCH)
	$(GO) test -run '^$$' -bench Delivery -benchtime 20x ./internal/sink/postgres

## network: make the water network of the demo anew; needs Node.js and npm
network:
	cd sim/epanet && npm ci --silent && npm run --silent make >/dev/null

## fuzz: every fuzz target, FUZZTIME each
fuzz: tools
	CGO_ENABLED=1 FUZZTIME=$(FUZZTIME) scripts/fuzz

## torture: every proof at full length; hours
torture:
	PENSTOCK_TORTURE=1 $(GO) test -timeout=12h -p=$(P) ./...

## torture-spool: every crash of the spool, and every second crash inside recovery; 20 to 40 minutes
torture-spool:
	PENSTOCK_TORTURE=1 $(GO) test -v -timeout=4h ./internal/spool/...

## dist: static binaries and their checksums in dist/
dist: STRIP := -s -w
dist:
	@rm -rf dist && mkdir -p dist
	@for target in $(DIST); do \
	  os=$${target%-*}; arch=$${target#*-}; arm=; \
	  if [[ $$arch == armv7 ]]; then arch=arm; arm=7; fi; \
	  echo "dist/penstock-$(VERSION)-$$target"; \
	  GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GOBUILD) -o "dist/penstock-$(VERSION)-$$target" ./cmd/penstock; \
	done
	@cd dist && sha256sum penstock-* > SHA256SUMS && cat SHA256SUMS

## clean: remove what the targets made
clean:
	rm -rf bin dist

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
