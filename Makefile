# Penstock is built with Go, and its console with Node.js; every target works on a
# fresh clone.

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
DEMO     ?= --for 60s --open
TIMEOUT  ?= 8m
# Packages that are tested at once. Two cores are enough for two.
P        ?= 2

# Runs of each kind of fault in make diagnose-accuracy: in virtual time, and with a demo.
TRIALS ?= 30
DRILLS ?= 1

# The last file that the build of the console writes.
CONSOLE := internal/console/dist/index.html

DIST  ?= linux-amd64 linux-arm64 linux-armv7
# The time of the files in a package: that of the commit.
EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.PHONY: build console screenshots demo test check bench network fuzz dist diagnose-accuracy torture torture-spool torture-cluster tools clean help compare-pm2 deb packaging-tool vulns

## build: bin/penstock with its console; the console needs Node.js 20 and npm
build: console
	@mkdir -p bin
	$(GOBUILD) -o bin/penstock ./cmd/penstock

## console: the pages that the binary has in it, from web/; needs Node.js 20 and npm
console: $(CONSOLE)

$(CONSOLE): web/package-lock.json web/index.html web/vite.config.js web/tsconfig.json $(wildcard web/src/*)
	@command -v node >/dev/null && command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { \
	  echo "The console needs Node.js 20 or newer, and npm. Install them, or build a gateway without its pages:" >&2; \
	  echo "  go build -o bin/penstock ./cmd/penstock" >&2; exit 1; }
	cd web && npm ci --silent --no-audit --no-fund && npm run --silent build
	@touch $@

## screenshots: the pictures of the console in the documents, made anew from a demo
screenshots: console tools
	$(GO) test -count=1 -run InABrowser/pages ./internal/console -screenshots=$(CURDIR)/docs/images

## demo: build, then for a minute a gateway and a simulated water network, with its console in a browser; DEMO="--for 10m" for other flags
demo: build
	bin/penstock demo $(DEMO)

## test: everything that must hold, with the race detector
test: check console
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout=$(TIMEOUT) -p=$(P) ./...
	cd packaging && $(GO) vet . && $(GO) test -timeout=$(TIMEOUT) .

## check: what is found without running anything
check: tools
	$(GO) vet ./...
	@badly=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')); \
	if [[ -n $$badly ]]; then echo "These files need gofmt -w:"; echo "$$badly"; exit 1; fi

## tools: bring what the tests need beside Go: a C compiler, curl, programs of others to test against
tools:
	@scripts/tools gcc curl socat mbpoll node:nodejs npm /usr/include/modbus/modbus.h:libmodbus-dev mosquitto mosquitto_pub:mosquitto-clients rabbitmq-server systemd-analyze:systemd nft:nftables ip:iproute2 dpkg chromium rsyslogd:rsyslog /usr/share/doc/rsyslog-openssl:rsyslog-openssl pg_ctlcluster:postgresql pgbouncer haproxy
	@scripts/ferretdb >/dev/null

## bench: speed on this machine, beside the machine's own ceilings; BENCH="-headline 10m" for flags
bench: build tools
	$(GO) run ./bench $(BENCH)
	$(GO) run ./bench/logging
	$(GO) test -run '^$$' -bench Delivery -benchtime 20x ./internal/sink/postgres
	$(GO) test -run '^$$' -bench Delivery -benchtime 5x ./internal/sink/mongo

## compare-pm2: penstock supervise beside pm2, on the same Node.js program; needs Node.js and npm
compare-pm2: build
	$(GO) run ./bench/managers

## network: make the water network of the demo anew; needs Node.js and npm
network:
	cd sim/epanet && npm ci --silent && npm run --silent make >/dev/null

## fuzz: every fuzz target, FUZZTIME each
fuzz: tools
	CGO_ENABLED=1 FUZZTIME=$(FUZZTIME) scripts/fuzz

## diagnose-accuracy: faults injected into a simulated plant, and into a running demo; the confusion matrix; minutes
diagnose-accuracy: build
	PENSTOCK_TRIALS=$(TRIALS) $(GO) test -count=1 -v -timeout=1h -run 'Verdicts|Healthy' ./internal/diagnose/trial
	PENSTOCK_DRILL=$(CURDIR)/bin/penstock PENSTOCK_DRILLS=$(DRILLS) $(GO) test -count=1 -v -timeout=2h -run Drill ./internal/demo

## torture: every proof at full length; hours
torture:
	PENSTOCK_TORTURE=1 $(GO) test -timeout=12h -p=$(P) ./...

## torture-spool: every crash of the spool, and every second crash inside recovery; 20 to 40 minutes
torture-spool:
	PENSTOCK_TORTURE=1 $(GO) test -v -timeout=4h ./internal/spool/...

## torture-cluster: three gateways on one PostgreSQL, for TORTURE_CLUSTER without and as long behind HAProxy: killed, lost, set back, upgraded, and the database with them
TORTURE_CLUSTER ?= 5m
torture-cluster: tools
	PENSTOCK_CLUSTER=$(TORTURE_CLUSTER) $(GO) test -count=1 -v -timeout=4h ./internal/cluster

## dist: static binaries and their checksums in dist/
dist: STRIP := -s -w
dist: console
	@rm -rf dist && mkdir -p dist
	@for target in $(DIST); do \
	  os=$${target%-*}; arch=$${target#*-}; arm=; \
	  if [[ $$arch == armv7 ]]; then arch=arm; arm=7; fi; \
	  echo "dist/penstock-$(VERSION)-$$target"; \
	  GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GOBUILD) -o "dist/penstock-$(VERSION)-$$target" ./cmd/penstock; \
	done
	@cd dist && sha256sum penstock-* > SHA256SUMS && cat SHA256SUMS

## deb: packages of Debian in dist/, for DIST; a commit gives the same bytes every time
deb: build dist packaging-tool
	@for target in $(DIST); do \
	  arch=$${target#*-}; [[ $$arch == armv7 ]] && arch=armhf; \
	  tree=$$(mktemp -d); \
	  packaging/tree bin/penstock "dist/penstock-$(VERSION)-$$target" "$$tree"; \
	  bin/packaging -tree "$$tree" -arch "$$arch" -version "$(VERSION)" -time "$(EPOCH)" -scripts packaging/scripts -o "dist/penstock_$(VERSION)_$$arch.deb"; \
	  rm -rf "$$tree"; \
	done
	@cd dist && rm -f SHA256SUMS && sha256sum penstock* > SHA256SUMS && cat SHA256SUMS

packaging-tool:
	@mkdir -p bin
	cd packaging && $(GO) build -trimpath -o ../bin/packaging .

## vulns: compare the modules with the vulnerability database in DB, without a network
vulns: build
	bin/penstock version --vulns "$(DB)"

## clean: remove what the targets made
clean:
	rm -rf bin dist

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
