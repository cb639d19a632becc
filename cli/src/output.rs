//! What the executable says on its standard streams; logs go through telemetry.

use std::io::Write;

/// One text for standard output. A reader that went away is no failure.
pub fn print(text: &str) {
    let mut stream = std::io::stdout().lock();
    drop(writeln!(stream, "{}", text.trim_end_matches('\n')));
}

/// One line for standard error.
pub fn error(text: &str) {
    let mut stream = std::io::stderr().lock();
    drop(writeln!(stream, "gatepost: {text}"));
}
