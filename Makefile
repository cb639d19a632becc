# Every target makes sure first that the machine has what it needs; see scripts/setup.sh.

.DEFAULT_GOAL := help
.PHONY: help run test test-full chaos fuzz check gen bench

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start Gatepost on http://localhost:8080, all in one process, no services needed
	@scripts/setup.sh run
	cargo run --locked -- serve

test: ## run all tests on SQLite and the in-process broker
	@scripts/setup.sh test
	cargo build --workspace --bins --locked
	cargo test --workspace --locked

test-full: ## run all tests again on PostgreSQL and RabbitMQ, with real counterparts
	@scripts/setup.sh full
	scripts/test-full.sh

chaos: ## hurt an installation in every way its guarantees speak of; ONLY="short", "faults", "single" or "fleet"
	@scripts/setup.sh full
	scripts/chaos.sh $(ONLY)

fuzz: ## look for inputs that break a parser, a minute each; ONLY="keys deliveries" for some, TIME="10min" for longer
	@scripts/setup.sh fuzz
	scripts/fuzz.sh $(ONLY)

check: ## formatting, lints, documentation, licences, generated files
	@scripts/setup.sh test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p gatepost --bins --features chaos --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@if command -v cargo-deny >/dev/null 2>&1; then \
		echo "cargo deny --offline check bans licenses sources"; \
		cargo deny --offline check bans licenses sources; \
	else \
		echo "cargo-deny is not installed: licences and banned crates were NOT checked (cargo install --locked cargo-deny)"; \
	fi
	scripts/gen.sh --check

gen: ## write all generated files anew
	@scripts/setup.sh test
	scripts/gen.sh

bench: ## measure, in the profile that ships; ONLY="session login" for some suites
	@scripts/setup.sh test
	cargo build --profile dist --workspace --bins --locked
	target/dist/bench $(ONLY)
