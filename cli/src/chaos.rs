//! The executable `gatepost` with crash points (`shared::chaos`), for fault runs.

fn main() -> std::process::ExitCode {
    cli::main()
}
