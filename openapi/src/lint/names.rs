//! Spelling: camelCase verbs, plural tags, `snake_case` fields, reserved words.

/// Verbs that operation ids start with.
const VERBS: [&str; 62] = [
    "accept",
    "activate",
    "add",
    "approve",
    "archive",
    "assign",
    "attach",
    "cancel",
    "change",
    "check",
    "complete",
    "confirm",
    "copy",
    "count",
    "create",
    "deactivate",
    "decline",
    "delete",
    "detach",
    "disable",
    "download",
    "enable",
    "evaluate",
    "export",
    "find",
    "finish",
    "get",
    "identify",
    "import",
    "invite",
    "leave",
    "link",
    "list",
    "lock",
    "mark",
    "merge",
    "move",
    "precheck",
    "preview",
    "refresh",
    "remove",
    "rename",
    "replace",
    "report",
    "request",
    "resend",
    "reset",
    "restore",
    "resume",
    "retry",
    "revoke",
    "roll",
    "search",
    "send",
    "set",
    "sign",
    "split",
    "start",
    "test",
    "unlink",
    "update",
    "verify",
];

/// Verbs that need no noun, and further ones that stand alone.
const VERBS_ALONE: [&str; 5] = ["login", "logout", "reauthenticate", "validate", "unlock"];

/// Plural nouns without a final s.
const IRREGULAR_PLURALS: [&str; 3] = ["people", "data", "media"];

/// Keywords of Python, Rust and TypeScript: a field of this name gets another name in some client.
const RESERVED: [&str; 97] = [
    "abstract",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "become",
    "box",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "crate",
    "debugger",
    "def",
    "default",
    "del",
    "delete",
    "do",
    "dyn",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extends",
    "extern",
    "false",
    "final",
    "finally",
    "fn",
    "for",
    "from",
    "function",
    "gen",
    "global",
    "if",
    "impl",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "is",
    "lambda",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "new",
    "none",
    "nonlocal",
    "not",
    "null",
    "or",
    "override",
    "package",
    "pass",
    "priv",
    "private",
    "protected",
    "pub",
    "public",
    "raise",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "switch",
    "this",
    "throw",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "var",
    "virtual",
    "void",
    "where",
    "while",
    "with",
    "yield",
    "constructor",
    "prototype",
    "arguments",
];

/// The words of a camelCase name, or `None` when it is none.
pub(super) fn camel_words(name: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut previous_upper = false;
    for letter in name.chars() {
        let is_upper = letter.is_ascii_uppercase();
        if !letter.is_ascii_alphanumeric() || (is_upper && (previous_upper || words.is_empty())) {
            return None;
        }
        match words.last_mut() {
            Some(word) if !is_upper => word.push(letter),
            _ => words.push(letter.to_ascii_lowercase().to_string()),
        }
        previous_upper = is_upper;
    }
    words.first().filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))?;
    Some(words)
}

/// Is it camelCase with a known verb first, and a noun unless the verb stands alone?
pub(super) fn is_verb_noun(name: &str) -> bool {
    match camel_words(name).as_deref() {
        Some([verb]) => VERBS_ALONE.contains(&verb.as_str()),
        Some([verb, ..]) => VERBS.contains(&verb.as_str()) || VERBS_ALONE.contains(&verb.as_str()),
        _ => false,
    }
}

/// `snake_case`: lower letters, digits, single underscores inside, a letter first.
pub(super) fn is_snake_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// A plural noun in `snake_case`.
pub(super) fn is_plural_tag(name: &str) -> bool {
    let last = name.rsplit('_').next().unwrap_or_default();
    is_snake_case(name)
        && (IRREGULAR_PLURALS.contains(&last) || (last.len() > 2 && last.ends_with('s') && !last.ends_with("ss")))
}

/// `PascalCase`, the spelling of component names.
pub(super) fn is_pascal_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric())
}

/// Words with a capital first, joined by hyphens: `Idempotency-Key`.
pub(super) fn is_canonical_header(name: &str) -> bool {
    ["WWW-Authenticate", "ETag", "DPoP"].contains(&name)
        || name.split('-').all(|word| {
            word.starts_with(|first: char| first.is_ascii_uppercase())
                && word.chars().skip(1).all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        })
}

/// A keyword of one of the client languages.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The names between braces in a path, in order.
pub(super) fn path_parameters(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// A path segment: `snake_case`, `@word`, or one parameter.
pub(super) fn is_segment(segment: &str) -> bool {
    match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => is_snake_case(name),
        None => is_snake_case(segment.strip_prefix('@').unwrap_or(segment)),
    }
}
