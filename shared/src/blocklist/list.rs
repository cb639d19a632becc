//! Searching the file: reads of a fixed length, and nothing that is kept.

use std::{
    cmp::Ordering,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// What is read at once: more than two of the longest lines, of 40 digits, a colon, 20 digits, CR and LF.
const WINDOW: usize = 128;
/// Lines, evenly spread, whose order is looked at when a process starts.
const SAMPLES: u64 = 256;
const TOO_LONG: &str = "a line is too long for a hash and a count";

/// The list cannot be searched.
#[derive(Debug, thiserror::Error)]
#[error("password.breached_file {}: {cause}", .path.display())]
pub struct BlocklistError {
    path: PathBuf,
    cause: io::Error,
}

/// Whether a list can be searched: it has lines, and a sample of them ascends. Its size in bytes.
///
/// # Errors
/// When it cannot be read or is no such list.
pub fn examine(path: &Path) -> Result<u64, BlocklistError> {
    size(path).map_err(|cause| BlocklistError { path: path.to_owned(), cause })
}

fn size(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut last: Option<Line> = None;
    for sample in 0..=SAMPLES {
        let Some(line) = line_from(&file, length.saturating_mul(sample) / SAMPLES)? else { continue };
        if last.is_some_and(|last| last.begin < line.begin && last.hash >= line.hash) {
            return Err(malformed("its lines are not ordered by hash"));
        }
        last = Some(line);
    }
    last.map(|_| length).ok_or_else(|| malformed("it has no line"))
}

/// Whether the list has this password, as it was typed or as it is stored.
///
/// # Errors
/// When the list cannot be searched.
pub fn contains(path: &Path, password: &str) -> io::Result<bool> {
    let file = File::open(path)?;
    let composed: Zeroizing<String> = Zeroizing::new(password.nfc().collect());
    Ok(search(&file, &hash(password))? || *composed != password && search(&file, &hash(&composed))?)
}

type Hash = [u8; 20];

fn hash(password: &str) -> Zeroizing<Hash> {
    let mut hash = Zeroizing::new([0; 20]);
    hash.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref());
    hash
}

fn search(file: &File, wanted: &Hash) -> io::Result<bool> {
    // The line that is looked for begins between them; a line begins at `low`.
    let (mut low, mut high) = (0, file.metadata()?.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let found = line_from(file, middle)?.filter(|line| line.begin < high);
        match found.map(|line| (line.hash.cmp(wanted), line.end)) {
            Some((Ordering::Equal, _)) => return Ok(true),
            Some((Ordering::Less, end)) => low = end,
            Some((Ordering::Greater, _)) | None => high = middle,
        }
    }
    Ok(false)
}

/// A line of the list.
#[derive(Clone, Copy)]
struct Line {
    hash: Hash,
    /// Where it begins in the file.
    begin: u64,
    /// Where the next one does.
    end: u64,
}

/// The first line that begins at `from` or behind it, if one does.
fn line_from(file: &File, from: u64) -> io::Result<Option<Line>> {
    // From one byte before, which tells whether a line begins right there.
    let start = from.saturating_sub(1);
    let (window, is_last) = read(file, start)?;
    let after_break = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    let skipped = match after_break(&window) {
        _ if from == 0 => 0,
        Some(skipped) => skipped,
        None if is_last => return Ok(None),
        None => return Err(malformed(TOO_LONG)),
    };
    let rest = window.get(skipped..).unwrap_or_default();
    let length = match after_break(rest) {
        Some(length) => length,
        None if is_last && rest.is_empty() => return Ok(None),
        None if is_last => rest.len(),
        None => return Err(malformed(TOO_LONG)),
    };
    let begin = start + skipped as u64;
    let hash =
        rest.get(..length).and_then(parse).ok_or_else(|| malformed("a line does not begin with a SHA-1 hash"))?;
    Ok(Some(Line { hash, begin, end: begin + length as u64 }))
}

/// The bytes from `start`, as many as are looked at, and whether the file ends with them.
fn read(file: &File, start: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut window = vec![0; WINDOW];
    let mut filled = 0;
    while let Some(rest) = window.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    window.truncate(filled);
    Ok((window, filled < WINDOW))
}

/// The hash of a line.
fn parse(line: &[u8]) -> Option<Hash> {
    let (digits, rest) = line.split_at_checked(40)?;
    if !rest.first().is_none_or(|next| b":\r\n".contains(next)) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut hash = [0; 20];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(hash)
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("gatepost-breached-{}", crate::ids::next()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn list(&self, text: &str) -> PathBuf {
            let path = self.0.join(crate::ids::next().to_string());
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    /// Lines in order, with counts of all lengths.
    fn lines(passwords: &[String], line_break: &str) -> String {
        let mut hashes: Vec<_> = passwords.iter().map(|password| *hash(password)).collect();
        hashes.sort_unstable();
        let digits = |hash: &Hash| hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
        let lines = hashes.iter().zip(0_u32..);
        let lines = lines.map(|(hash, at)| format!("{}:{}{line_break}", digits(hash), 10_u64.pow(at % 9)));
        lines.collect::<Vec<_>>().concat()
    }

    #[test]
    fn the_hash_is_the_one_of_the_list() {
        let line = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824";
        assert_eq!(parse(line.as_bytes()), Some(*hash("password")));
    }

    /// T-LOGIN-16: all that the list has is found, and nothing else, whatever its length and line breaks.
    #[test]
    fn a_list_has_what_it_has() {
        let folder = Folder::new();
        for count in [1_usize, 2, 3, 7, 64, 500] {
            let all: Vec<String> = (0..2 * count).map(|number| format!("password {number}")).collect();
            let (listed, others) = all.split_at(count);
            let text = lines(listed, "\r\n");
            let forms = [text.replace('\r', ""), text.trim_end().to_owned(), text.to_lowercase(), text];
            for path in forms.map(|text| folder.list(&text)) {
                assert!(examine(&path).unwrap() > 0);
                assert!(listed.iter().all(|password| contains(&path, password).unwrap()), "{count}");
                assert!(!others.iter().any(|password| contains(&path, password).unwrap()), "{count}");
            }
        }
    }

    #[test]
    fn both_forms_of_a_password_are_looked_up() {
        let folder = Folder::new();
        let path = folder.list(&lines(&["cre\u{300}me".to_owned(), "br\u{fb}l\u{e9}e".to_owned()], "\n"));
        for password in ["cre\u{300}me", "br\u{fb}l\u{e9}e", "bru\u{302}le\u{301}e"] {
            assert!(contains(&path, password).unwrap(), "{password}");
        }
        assert!(!contains(&path, "cr\u{e8}me").unwrap(), "what is neither typed nor stored is not looked up");
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        let folder = Folder::new();
        let passwords: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let ordered = lines(&passwords, "\n");
        let reversed = ordered.lines().rev().collect::<Vec<_>>();
        let reversed_pair = reversed[..2].join("\n");
        let reversed = reversed.join("\n");
        for (text, why) in [
            ("", "no line"),
            ("\n", "does not begin with"),
            ("password\n", "does not begin with"),
            (reversed.as_str(), "not ordered"),
            (reversed_pair.as_str(), "not ordered"),
            (&"A".repeat(1000), "too long"),
            ("8846F7EAEE8FB117AD06BDD830B7586C:9545824\n", "does not begin with"),
        ] {
            let error = examine(&folder.list(text)).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        assert!(examine(&folder.0).is_err() && contains(&folder.0, "password").is_err(), "a folder is no list");
        let missing = folder.0.join("missing");
        assert_eq!(examine(&missing).unwrap_err().cause.kind(), io::ErrorKind::NotFound);
        assert!(contains(&folder.list("garbage\n"), "password").is_err(), "and never one without the password");
    }
}
