//! The executable `gatepost`.

fn main() -> std::process::ExitCode {
    cli::main()
}
