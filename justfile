# Short names for `cargo xtask`; just is not needed for anything.

[private]
default:
    @just --list

# The main job on the samples, in a temporary store
demo *args:
    cargo xtask demo {{args}}

# All checks and tests
test *args:
    cargo xtask test {{args}}

# What the build machine runs
ci:
    cargo xtask ci

# All checks, and the long form of the tests
full *args:
    cargo xtask full {{args}}

# The benchmarks of docs/benchmarks.md
bench *args:
    cargo xtask bench {{args}}

# The documentation of the crates
docs:
    cargo xtask docs

# Fetch the peers that the tests are judged by
peers *args:
    cargo xtask peers {{args}}

# Try the database of Trivy with every version of Trivy that can be had
trivy-matrix:
    cargo xtask trivy-matrix

# Run a fuzz target, or list them
fuzz *args:
    cargo xtask fuzz {{args}}
