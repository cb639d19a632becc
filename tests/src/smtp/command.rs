//! Client commands, parsed from one line. A line that does not parse is answered with the reply in the error.

/// Largest message taken, in bytes.
pub(super) const MAX_MESSAGE: usize = 10 * 1024 * 1024;

/// A reply: its code and its text.
pub(super) type Reply = (u16, String);

/// One command of RFC 5321, RFC 3207 or RFC 4954.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo,
    Helo,
    Mail(String),
    Rcpt(String),
    Data,
    Rset,
    Noop,
    Vrfy,
    Quit,
    StartTls,
    Auth { mechanism: String, initial: Option<String> },
}

impl Command {
    pub(super) fn parse(line: &str) -> Result<Self, Reply> {
        let line = line.trim_end();
        let (verb, args) = line.split_once(' ').unwrap_or((line, ""));
        let args = args.trim();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => named(args, Self::Ehlo),
            "HELO" => named(args, Self::Helo),
            "MAIL" => mail(args),
            "RCPT" => rcpt(args),
            "DATA" => bare(args, Self::Data),
            "RSET" => bare(args, Self::Rset),
            "QUIT" => bare(args, Self::Quit),
            "STARTTLS" => bare(args, Self::StartTls),
            "NOOP" => Ok(Self::Noop),
            "VRFY" => named(args, Self::Vrfy),
            "AUTH" => auth(args),
            "EXPN" | "HELP" => Err(reply(502, "5.5.1 command not implemented")),
            _ => Err(reply(500, "5.5.2 command not recognised")),
        }
    }
}

pub(super) fn reply(code: u16, text: &str) -> Reply {
    (code, text.to_owned())
}

fn bare(args: &str, command: Command) -> Result<Command, Reply> {
    if args.is_empty() { Ok(command) } else { Err(reply(501, "5.5.4 no parameters allowed")) }
}

fn named(args: &str, command: Command) -> Result<Command, Reply> {
    if args.is_empty() { Err(reply(501, "5.5.4 a parameter is required")) } else { Ok(command) }
}

fn auth(args: &str) -> Result<Command, Reply> {
    let mut words = args.split_ascii_whitespace();
    let Some(mechanism) = words.next() else {
        return Err(reply(501, "5.5.4 a mechanism is required"));
    };
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial: words.next().map(str::to_owned) })
}

fn mail(args: &str) -> Result<Command, Reply> {
    let (address, params) = path(args, "FROM:")?;
    for param in params.split_ascii_whitespace() {
        let (name, value) = param.split_once('=').unwrap_or((param, ""));
        match name.to_ascii_uppercase().as_str() {
            "BODY" if value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME") => {}
            "SIZE" => match value.parse::<usize>() {
                Ok(size) if size <= MAX_MESSAGE => {}
                Ok(_) => return Err(reply(552, "5.3.4 message too big")),
                Err(_) => return Err(reply(501, "5.5.4 SIZE is not a number")),
            },
            "AUTH" => {}
            _ => return Err(reply(555, "5.5.4 parameter not recognised")),
        }
    }
    Ok(Command::Mail(address))
}

fn rcpt(args: &str) -> Result<Command, Reply> {
    let (address, params) = path(args, "TO:")?;
    if address.is_empty() {
        return Err(reply(501, "5.1.3 empty recipient"));
    }
    if !params.is_empty() {
        return Err(reply(555, "5.5.4 parameter not recognised"));
    }
    Ok(Command::Rcpt(address))
}

/// Splits `FROM:<address> PARAMS` into the address and the parameters.
fn path<'a>(args: &'a str, keyword: &str) -> Result<(String, &'a str), Reply> {
    let malformed = || reply(501, "5.1.7 expected an address in angle brackets");
    let (head, rest) = args.split_at_checked(keyword.len()).ok_or_else(malformed)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(malformed());
    }
    let rest = rest.trim_start().strip_prefix('<').ok_or_else(malformed)?;
    let (address, params) =
        rest.split_at_checked(closing_bracket(rest).ok_or_else(malformed)?).ok_or_else(malformed)?;
    let params = params.strip_prefix('>').ok_or_else(malformed)?;
    if !params.is_empty() && !params.starts_with(' ') {
        return Err(malformed());
    }
    if !address.is_ascii() {
        return Err(reply(553, "5.6.7 address is not ASCII and SMTPUTF8 is not offered"));
    }
    if address.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(malformed());
    }
    Ok((address.to_owned(), params.trim()))
}

/// Position of the `>` that ends the path; one inside a quoted local part does not.
fn closing_bracket(path: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, symbol) in path.char_indices() {
        match symbol {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}
