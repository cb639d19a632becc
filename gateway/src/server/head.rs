//! Finds the end of a request's head in a stream of bytes (RFC 9112, section 2).
//!
//! It reads as leniently as the HTTP parser behind it: empty lines before the head are skipped, and a line may end with
//! LF alone. What it takes for a whole head is one for the parser too, so a peer cannot gain time by confusing it.

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Partial,
    /// The empty line that ends the head was read.
    Complete,
    /// The connection begins with the preface of HTTP/2 (RFC 9113, section 3.4).
    Http2,
}

const PREFACE: &[u8; 3] = b"PRI";

/// Follows one head.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadWatch {
    /// Bytes of the head so far, up to the length of the preface.
    seen: usize,
    /// How many of them are those of the preface.
    matching: usize,
    /// Whether the current line has no byte but line ends.
    line_is_empty: bool,
}

impl HeadWatch {
    /// Takes the bytes that arrived.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Progress {
        while self.seen < PREFACE.len() {
            let Some((byte, rest)) = bytes.split_first() else { return Progress::Partial };
            let progress = self.begin(*byte);
            if progress != Progress::Partial {
                return progress;
            }
            bytes = rest;
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.continue_line(line);
            if self.line_is_empty {
                return Progress::Complete;
            }
            self.line_is_empty = true;
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.continue_line(bytes);
        Progress::Partial
    }

    /// Takes one of the first bytes.
    fn begin(&mut self, byte: u8) -> Progress {
        if self.seen == 0 && matches!(byte, b'\r' | b'\n') {
            return Progress::Partial;
        }
        self.matching += usize::from(PREFACE.get(self.seen) == Some(&byte));
        self.seen += 1;
        match byte {
            _ if self.matching == PREFACE.len() => return Progress::Http2,
            b'\n' if self.line_is_empty => return Progress::Complete,
            b'\n' => self.line_is_empty = true,
            _ => self.continue_line(&[byte]),
        }
        Progress::Partial
    }

    fn continue_line(&mut self, part: &[u8]) {
        self.line_is_empty &= part.iter().all(|byte| *byte == b'\r');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(parts: &[&str]) -> Progress {
        let mut watch = HeadWatch::default();
        parts
            .iter()
            .map(|part| watch.feed(part.as_bytes()))
            .find(|progress| *progress != Progress::Partial)
            .unwrap_or(Progress::Partial)
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(feed(&["GET / HTTP/1.1\r\nHost: x\r\n\r\n"]), Progress::Complete);
        assert_eq!(feed(&["GET / HTTP/1.1\nHost: x\n\n"]), Progress::Complete);
        assert_eq!(feed(&["GET / HTTP/1.1\r\nHost: x\r", "\n\r", "\n"]), Progress::Complete);
        assert_eq!(feed(&["GET / HTTP/1.1\r\nHost: x\r\n"]), Progress::Partial);
        assert_eq!(feed(&["G", "\n", "X", "\n"]), Progress::Partial);
    }

    #[test]
    fn empty_lines_before_it_are_no_head() {
        assert_eq!(feed(&["\r\n\r\n\r\n\n\n"]), Progress::Partial);
        assert_eq!(feed(&["\r\n\r\nGET / HTTP/1.1\r\n"]), Progress::Partial);
    }

    #[test]
    fn the_preface_of_http_2_is_recognised() {
        assert_eq!(feed(&["PRI * HTTP/2.0\r\n\r\n"]), Progress::Http2);
        assert_eq!(feed(&["P", "R", "I"]), Progress::Http2);
        assert_eq!(feed(&["PRX / HTTP/1.1\r\n\r\n"]), Progress::Complete);
    }
}
