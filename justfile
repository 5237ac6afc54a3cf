# `just` lists the recipes.
default:
    @just --list

# Everything that has to pass before a change is taken
ci:
    bash .ci/run

# The tests, as the README has them
test *ARGS:
    cargo test {{ARGS}}

# What becomes of runs when everything goes wrong, in the long form; parts: kills, disk, database, clock, race, …
faults *PARTS:
    cargo test --release --test faults -- --long {{PARTS}}

# Format, clippy, dependencies
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo deny --log-level error check --hide-inclusion-graph bans licenses sources
    cargo machete

# The library's documentation
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# The tests, built for Windows and run under Wine
windows *ARGS:
    ../shared/windows/cargo-windows test {{ARGS}}

# The readers, fed with anything, for as long as it takes
fuzz CASES="200000":
    PROPTEST_CASES={{CASES}} cargo test --release --lib fuzz

# What the runner costs; parts: many, one, output, large
bench *PARTS:
    cargo bench --bench overhead -- {{PARTS}}

# What it costs to send a thousand mails, beside Python's smtplib
bench-mail:
    cargo bench --bench mail
