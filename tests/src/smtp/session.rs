//! One connection: the dialogue of RFC 5321, with the scripted faults at their stages.

use std::{io, sync::Arc};

use tokio::net::TcpStream;

use super::{
    Fault, Received, Stage, Tls,
    command::{Command, MAX_MESSAGE, Reply, reply},
    record::{CommandLine, Open, Shared},
    wire::{Line, Wire},
};

/// What follows a command.
enum Flow {
    Continue,
    /// 220 to STARTTLS is out; the handshake comes next.
    Upgrade,
    /// The last reply is out.
    Close,
    /// Leave without a word.
    HangUp,
}

/// A mail transaction, from MAIL FROM to the final dot.
struct Mail {
    from: String,
    rcpts: Vec<String>,
    fault: Option<Fault>,
}

/// State of one connection. `open` comes before `wire`: a client that sees the end is no longer counted.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) user: Option<String>,
    open: Option<Open>,
    id: usize,
    fault: Option<Fault>,
    greeted: bool,
    mail: Option<Mail>,
    pub(super) wire: Wire,
}

/// Serves a connection until it ends.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(err) = talk(stream, shared).await {
        tracing::debug!(error = %err, "mail connection broke");
    }
}

async fn talk(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let open = Open::new(&shared);
    let fault = shared.plan(super::fault::Plan::for_connection);
    let mut wire = Wire::new(stream);
    if shared.tls == Tls::Implicit {
        wire = handshake(wire, &shared).await?;
    }
    let id = open.id;
    Session { shared, user: None, open: Some(open), id, fault, greeted: false, mail: None, wire }.run().await
}

async fn handshake(wire: Wire, shared: &Shared) -> io::Result<Wire> {
    let upgraded = wire.upgrade(&shared.acceptor).await;
    if upgraded.is_err() {
        shared.log(|log| log.failed_handshakes += 1);
    }
    upgraded
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        let mut flow = self.greet().await?;
        loop {
            match flow {
                Flow::Continue => flow = self.turn().await?,
                Flow::Upgrade => {
                    self.wire = handshake(self.wire, &self.shared).await?;
                    (self.greeted, self.user, self.mail) = (false, None, None);
                    flow = Flow::Continue;
                }
                Flow::Close => {
                    self.wire.finish().await;
                    return Ok(());
                }
                Flow::HangUp => return Ok(()),
            }
        }
    }

    async fn greet(&mut self) -> io::Result<Flow> {
        let Some((code, text)) = self.connection_fault(Stage::Connect).await else {
            return self.say(220, "mail.gatepost.test ESMTP ready").await;
        };
        self.open = None;
        self.wire.reply(code, &text).await?;
        Ok(Flow::Close)
    }

    async fn turn(&mut self) -> io::Result<Flow> {
        let line = match self.wire.read_line().await? {
            Line::Text(line) => line,
            Line::BareLf => return self.say(500, "5.5.2 lines end with CRLF").await,
            Line::TooLong => return self.say(421, "4.5.2 line too long").await,
            Line::Eof => return Ok(Flow::HangUp),
        };
        self.note(&line);
        match Command::parse(&line) {
            Ok(command) => self.obey(command).await,
            Err(refusal) => self.answer(refusal).await,
        }
    }

    async fn obey(&mut self, command: Command) -> io::Result<Flow> {
        match command {
            Command::Ehlo => self.hello(true).await,
            Command::Helo => self.hello(false).await,
            Command::Mail(from) => self.mail_from(from).await,
            Command::Rcpt(to) => self.rcpt_to(to).await,
            Command::Data => self.data().await,
            Command::Rset => {
                self.mail = None;
                self.say(250, "2.0.0 reset").await
            }
            Command::Noop => self.say(250, "2.0.0 nothing done").await,
            Command::Vrfy => self.say(252, "2.5.2 will try to deliver").await,
            Command::Quit => self.say(221, "2.0.0 goodbye").await,
            Command::StartTls => self.start_tls().await,
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial).await,
        }
    }

    async fn hello(&mut self, extended: bool) -> io::Result<Flow> {
        if let Some(instead) = self.connection_fault(Stage::Ehlo).await {
            return self.answer(instead).await;
        }
        self.greeted = true;
        self.mail = None;
        if !extended {
            return self.say(250, "mail.gatepost.test").await;
        }
        let size = format!("SIZE {MAX_MESSAGE}");
        let mut lines = vec!["mail.gatepost.test", "PIPELINING", "8BITMIME", size.as_str()];
        if self.shared.tls == Tls::StartTls && !self.wire.is_tls() {
            lines.push("STARTTLS");
        }
        if self.shared.auth.is_some() {
            lines.push("AUTH PLAIN LOGIN");
        }
        self.wire.reply_lines(250, &lines).await?;
        Ok(Flow::Continue)
    }

    async fn start_tls(&mut self) -> io::Result<Flow> {
        match self.shared.tls {
            Tls::None => self.say(502, "5.5.1 command not implemented").await,
            Tls::StartTlsStripped => self.say(454, "4.7.0 TLS not available").await,
            Tls::StartTls | Tls::Implicit if self.wire.is_tls() => self.say(503, "5.5.1 already encrypted").await,
            Tls::StartTls | Tls::Implicit => {
                self.say(220, "2.0.0 begin the handshake").await?;
                Ok(Flow::Upgrade)
            }
        }
    }

    async fn auth(&mut self, mechanism: &str, initial: Option<String>) -> io::Result<Flow> {
        let Some((user, password)) = self.shared.auth.clone() else {
            return self.say(502, "5.5.1 command not implemented").await;
        };
        if !self.greeted || self.user.is_some() || self.mail.is_some() {
            return self.say(503, "5.5.1 bad sequence of commands").await;
        }
        let given = match self.credentials(mechanism, initial).await? {
            Ok(given) => given,
            Err(refusal) => return self.answer(refusal).await,
        };
        if let Some(instead) = self.connection_fault(Stage::Auth).await {
            return self.answer(instead).await;
        }
        if given != (user.clone(), password) {
            return self.say(535, "5.7.8 authentication credentials invalid").await;
        }
        self.user = Some(user);
        self.say(235, "2.7.0 authenticated").await
    }

    async fn mail_from(&mut self, from: String) -> io::Result<Flow> {
        if !self.greeted || self.mail.is_some() {
            return self.say(503, "5.5.1 bad sequence of commands").await;
        }
        if self.shared.auth.is_some() && self.user.is_none() {
            return self.say(530, "5.7.0 authentication required").await;
        }
        let mail = Mail { from, rcpts: Vec::new(), fault: self.shared.plan(super::fault::Plan::for_mail) };
        self.shared.log(|log| log.transactions += 1);
        if let Some(instead) = strike(mail.fault.as_ref(), Stage::MailFrom).await {
            return self.answer(instead).await;
        }
        self.mail = Some(mail);
        self.say(250, "2.1.0 sender ok").await
    }

    async fn rcpt_to(&mut self, to: String) -> io::Result<Flow> {
        let Some(mail) = &mut self.mail else {
            return self.say(503, "5.5.1 need MAIL first").await;
        };
        if let Some(instead) = strike(mail.fault.as_ref(), Stage::RcptTo).await {
            return self.answer(instead).await;
        }
        mail.rcpts.push(to);
        self.say(250, "2.1.5 recipient ok").await
    }

    async fn data(&mut self) -> io::Result<Flow> {
        let Some(mail) = self.mail.take() else {
            return self.say(503, "5.5.1 need MAIL first").await;
        };
        if mail.rcpts.is_empty() {
            return self.say(554, "5.5.1 no valid recipients").await;
        }
        if let Some(instead) = strike(mail.fault.as_ref(), Stage::Data).await {
            return self.answer(instead).await;
        }
        self.say(354, "end with CRLF dot CRLF").await?;
        let Some(data) = self.wire.read_data().await? else {
            return Ok(Flow::HangUp);
        };
        self.shared.log(|log| log.bodies += 1);
        tokio::time::sleep(self.shared.plan(|plan| plan.delay)).await;
        if let Some(instead) = strike(mail.fault.as_ref(), Stage::EndOfData).await {
            return self.answer(instead).await;
        }
        if data.len() > MAX_MESSAGE {
            return self.say(552, "5.3.4 message too big").await;
        }
        self.accept(mail, &data).await
    }

    /// Records the message and says so; `stop()` does not come between the two.
    async fn accept(&mut self, mail: Mail, data: &[u8]) -> io::Result<Flow> {
        let shared = Arc::clone(&self.shared);
        let _settling = shared.settling.read().await;
        let message = Received::new(mail.from, mail.rcpts, data, self.wire.is_tls(), self.user.clone());
        if let Err(err) = shared.keep(message, data) {
            return self.answer(reply(451, &format!("4.3.0 {err}"))).await;
        }
        if mail.fault == Some(Fault::DropAfterData) {
            return Ok(Flow::HangUp);
        }
        self.say(250, "2.0.0 message accepted").await
    }

    async fn connection_fault(&self, stage: Stage) -> Option<Reply> {
        strike(self.fault.as_ref(), stage).await
    }

    pub(super) fn note(&self, line: &str) {
        let line = CommandLine { connection: self.id, tls: self.wire.is_tls(), line: line.to_owned() };
        self.shared.log(|log| log.transcript.push(line));
    }

    async fn say(&mut self, code: u16, text: &str) -> io::Result<Flow> {
        self.answer(reply(code, text)).await
    }

    /// Replies; 221 and 421 are last words, and the connection no longer counts as open when the client reads them.
    async fn answer(&mut self, (code, text): Reply) -> io::Result<Flow> {
        let last = matches!(code, 221 | 421);
        if last {
            self.open = None;
        }
        self.wire.reply(code, &text).await?;
        Ok(if last { Flow::Close } else { Flow::Continue })
    }
}

async fn strike(fault: Option<&Fault>, stage: Stage) -> Option<Reply> {
    match fault {
        Some(fault) => fault.strike(stage).await,
        None => None,
    }
}
